//! Circles: things that wait for each other. In time that grows with their number and that of who waits for whom, as a site
//! may come from a stranger.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

/// Circles that are told of things that all wait for each other.
const TOLD: usize = 10;

/// Circles among things of which each waits for some others, by their numbers: of each thing that is on one the shortest,
/// unless it is on another's. Each begins with its lowest number that no circle before it has.
pub(super) fn circles(after: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let component = components(after);
    let mut told = vec![false; after.len()];
    let mut told_of = vec![0; after.len()];
    let mut circles = Vec::new();
    for start in 0..after.len() {
        let of = component[start];
        if told[start] || told_of[of] == TOLD {
            continue;
        }
        if let Some(circle) = shortest(start, after, &component) {
            for number in &circle {
                told[*number] = true;
            }
            told_of[of] += 1;
            circles.push(circle);
        }
    }
    circles
}

/// The shortest way from a thing back to itself.
fn shortest(start: usize, after: &[Vec<usize>], component: &[usize]) -> Option<Vec<usize>> {
    // From where each is reached first.
    let mut from: HashMap<usize, usize> = HashMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(number) = open.pop_front().filter(|_| !from.contains_key(&start)) {
        for next in after[number].iter().filter(|next| component[**next] == component[start]) {
            if let Entry::Vacant(entry) = from.entry(*next) {
                entry.insert(number);
                open.push_back(*next);
            }
        }
    }
    let back = |number: &usize| from.get(number).copied().filter(|number| *number != start);
    let mut circle: Vec<usize> = std::iter::successors(from.get(&start).copied(), back).collect();
    if circle.first().is_some_and(|last| *last != start) {
        circle.push(start);
    }
    circle.reverse();
    (!circle.is_empty()).then_some(circle)
}

/// Which things all wait for each other, by the number of one of them (Kosaraju's algorithm).
fn components(after: &[Vec<usize>]) -> Vec<usize> {
    let mut awaited_by = vec![Vec::new(); after.len()];
    for (number, others) in after.iter().enumerate() {
        for other in others {
            awaited_by[*other].push(number);
        }
    }
    let mut component = vec![None; after.len()];
    for root in post_order(after).into_iter().rev() {
        let mut open = vec![root];
        while let Some(number) = open.pop() {
            if component[number].is_none() {
                component[number] = Some(root);
                open.extend(&awaited_by[number]);
            }
        }
    }
    component.into_iter().enumerate().map(|(number, of)| of.unwrap_or(number)).collect()
}

/// Each thing behind those that it waits for, as far as there are no circles.
fn post_order(after: &[Vec<usize>]) -> Vec<usize> {
    let mut seen = vec![false; after.len()];
    let mut order = Vec::with_capacity(after.len());
    for root in 0..after.len() {
        let mut path = if std::mem::replace(&mut seen[root], true) { vec![] } else { vec![(root, 0)] };
        while let Some((number, looked_at)) = path.last_mut() {
            if let Some(next) = after[*number].get(*looked_at) {
                *looked_at += 1;
                if !std::mem::replace(&mut seen[*next], true) {
                    path.push((*next, 0));
                }
            } else {
                order.push(*number);
                path.pop();
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_circle_is_told_once_by_its_shortest_way() {
        assert_eq!(circles(&[vec![], vec![0], vec![0, 1]]), Vec::<Vec<usize>>::new());
        assert_eq!(circles(&[vec![0]]), [[0]]);
        assert_eq!(circles(&[vec![1], vec![0], vec![1]]), [[0, 1]], "the last one only waits for a circle");
        assert_eq!(circles(&[vec![2], vec![2], vec![3], vec![1]]), [[1, 2, 3]], "the first one too");
        assert_eq!(circles(&[vec![1], vec![2, 0], vec![0]]), [vec![0, 1], vec![2, 0, 1]]);
        assert_eq!(circles(&[vec![1], vec![0], vec![3, 0], vec![2]]), [[0, 1], [2, 3]]);
        assert_eq!(circles(&[vec![1, 1], vec![0, 0]]), [[0, 1]], "written twice");
    }

    #[test]
    fn as_many_as_a_person_reads() {
        let hub: Vec<usize> = (1..1000).collect();
        let after: Vec<Vec<usize>> = std::iter::once(hub).chain((1..1000).map(|_| vec![0])).collect();
        assert_eq!(circles(&after).len(), TOLD);
    }

    /// What took minutes when each look took away a few.
    #[test]
    fn large_graphs_are_looked_through_once() {
        let chain: Vec<Vec<usize>> =
            (0..30_000usize).map(|number| number.checked_sub(1).into_iter().collect()).collect();
        assert!(circles(&chain).is_empty());
        let ring: Vec<Vec<usize>> = (0..30_000).map(|number| vec![(number + 1) % 30_000]).collect();
        assert_eq!(circles(&ring).iter().map(Vec::len).collect::<Vec<_>>(), [30_000]);
        let dense: Vec<Vec<usize>> =
            (0..5_000usize).map(|number| (number.saturating_sub(64)..number).collect()).collect();
        assert!(circles(&dense).is_empty());
    }
}
