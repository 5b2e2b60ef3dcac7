//! Budgets: a number, or a percentage of the Nodes.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// How a share of Nodes becomes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Round {
    Up,
    Down,
}

/// What a budget is for a number of Nodes. None if it is neither a number nor a percentage up to 100.
pub fn budget(written: &IntOrString, nodes: usize, round: Round) -> Option<usize> {
    match written {
        IntOrString::Int(number) => usize::try_from(*number).ok(),
        IntOrString::String(text) => {
            let percent: usize = text.strip_suffix('%')?.parse().ok().filter(|percent| *percent <= 100)?;
            let share = nodes.saturating_mul(percent);
            Some(match round {
                Round::Up => share.div_ceil(100),
                Round::Down => share / 100,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_percentages() {
        let percent = |text: &str, nodes, round| budget(&IntOrString::String(text.into()), nodes, round);
        assert_eq!(budget(&IntOrString::Int(3), 2, Round::Up), Some(3));
        assert_eq!(budget(&IntOrString::Int(-1), 2, Round::Up), None);
        assert_eq!(percent("90%", 11, Round::Up), Some(10));
        assert_eq!(percent("90%", 11, Round::Down), Some(9));
        assert_eq!(percent("0%", 11, Round::Up), Some(0));
        for bad in ["90", "101%", "x%", "-5%", ""] {
            assert_eq!(percent(bad, 11, Round::Up), None, "{bad}");
        }
    }
}
