//! Node filters, as boot actions and rollout groups use them.

use std::collections::{BTreeMap, HashSet};

use slipway_api::design::{FilterOperator, NodeFilter, NodeFilterSet};

use super::model::{Pairs, Sourced, Text};

/// What filters look at.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Facts<'a> {
    pub name: &'a str,
    pub tags: &'a [Sourced<Text>],
    pub labels: &'a Pairs,
    pub owner_data: &'a Pairs,
    /// Labels of the Node's object.
    pub object_labels: &'a BTreeMap<String, String>,
    pub rack: Option<&'a str>,
    pub rack_labels: Option<&'a BTreeMap<String, String>>,
}

/// A filter set, prepared to be asked of many Nodes.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// None takes every Node.
    set: Option<(FilterOperator, Vec<Prepared>)>,
}

#[derive(Clone, Debug)]
struct Prepared {
    operator: FilterOperator,
    names: HashSet<String>,
    tags: HashSet<String>,
    racks: HashSet<String>,
    labels: BTreeMap<String, String>,
    rack_labels: BTreeMap<String, String>,
}

impl Filter {
    /// Prepares a filter set. None takes every Node.
    pub fn new(set: Option<&NodeFilterSet>) -> Self {
        Self { set: set.map(|set| (set.operator, set.filters.iter().map(Prepared::new).collect())) }
    }

    /// Whether it takes every Node there is.
    pub fn is_everything(&self) -> bool {
        self.set.is_none()
    }

    /// Whether it takes a Node.
    ///
    /// An intersection without any criterion says nothing: other filters decide. A set in which nobody decides takes no
    /// Node, as drydock does where it does not crash.
    pub fn takes(&self, node: &Facts<'_>) -> bool {
        let Some((operator, filters)) = &self.set else { return true };
        let mut said = filters.iter().filter_map(|filter| filter.takes(node)).peekable();
        match operator {
            FilterOperator::Union => said.any(|takes| takes),
            FilterOperator::Intersection => said.peek().is_some() && said.all(|takes| takes),
        }
    }
}

impl Prepared {
    fn new(filter: &NodeFilter) -> Self {
        let set = |items: &[String]| items.iter().cloned().collect();
        Self {
            operator: filter.operator,
            names: set(&filter.names),
            tags: set(&filter.tags),
            racks: set(&filter.racks),
            labels: filter.labels.clone(),
            rack_labels: filter.rack_labels.clone(),
        }
    }

    fn takes(&self, node: &Facts<'_>) -> Option<bool> {
        let all = self.operator == FilterOperator::Intersection;
        let label = |(key, value): (&String, &String)| {
            let of = |pairs: &Pairs| pairs.get(key.as_str()).is_some_and(|own| *own.value == **value);
            of(node.labels) || of(node.owner_data) || node.object_labels.get(key) == Some(value)
        };
        let rack_label =
            |(key, value): (&String, &String)| node.rack_labels.is_some_and(|labels| labels.get(key) == Some(value));
        let criteria = [
            (!self.names.is_empty()).then(|| self.names.contains(node.name)),
            (!self.tags.is_empty()).then(|| node.tags.iter().any(|tag| self.tags.contains(&*tag.value))),
            (!self.racks.is_empty()).then(|| node.rack.is_some_and(|rack| self.racks.contains(rack))),
            (!self.labels.is_empty())
                .then(|| if all { self.labels.iter().all(label) } else { self.labels.iter().any(label) }),
            (!self.rack_labels.is_empty()).then(|| {
                if all { self.rack_labels.iter().all(rack_label) } else { self.rack_labels.iter().any(rack_label) }
            }),
        ];
        let mut said = criteria.into_iter().flatten().peekable();
        match self.operator {
            FilterOperator::Union => Some(said.any(|takes| takes)),
            FilterOperator::Intersection if said.peek().is_none() => None,
            FilterOperator::Intersection => Some(said.all(|takes| takes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::design::model::Origin;

    fn takes(filter: &str) -> bool {
        let filter: NodeFilterSet = serde_saphyr::from_str(filter).unwrap();
        let text = |text: &str| Sourced::new(Text::from(text), Origin::Node);
        let owner = Pairs::from([("foo".into(), text("bar")), ("zone".into(), text("a"))]);
        let rack_labels = BTreeMap::from([("row".to_owned(), "1".to_owned())]);
        let facts = Facts {
            name: "n1",
            tags: &[text("web")],
            labels: &Pairs::new(),
            owner_data: &owner,
            object_labels: &BTreeMap::from([("role".to_owned(), "edge".to_owned())]),
            rack: Some("r1"),
            rack_labels: Some(&rack_labels),
        };
        Filter::new(Some(&filter)).takes(&facts)
    }

    #[test]
    fn one_filter() {
        for (filter, wanted) in [
            ("{names: [n1, n2]}", true),
            ("{names: [n2]}", false),
            ("{tags: [db, web]}", true),
            ("{racks: [r1]}", true),
            ("{rackLabels: {row: '1'}}", true),
            ("{rackLabels: {row: '2'}}", false),
            ("{labels: {role: edge}}", true),
            ("{labels: {foo: bar, zone: b}}", true),
            ("{operator: Intersection, labels: {foo: bar, zone: b}}", false),
            ("{operator: Intersection, labels: {foo: bar, zone: a}}", true),
            ("{names: [n2], tags: [web]}", true),
            ("{operator: Intersection, names: [n2], tags: [web]}", false),
            ("{operator: Intersection, names: [n1], tags: []}", true),
            ("{}", false),
            ("{operator: Intersection}", false),
        ] {
            assert_eq!(takes(&format!("filters: [{filter}]")), wanted, "{filter}");
        }
    }

    #[test]
    fn several_filters() {
        for (set, wanted) in [
            ("{filters: [{names: [n2]}, {tags: [web]}]}", true),
            ("{operator: Intersection, filters: [{names: [n2]}, {tags: [web]}]}", false),
            ("{operator: Intersection, filters: [{names: [n1]}, {tags: [web]}]}", true),
            ("{operator: Intersection, filters: [{names: [n1]}, {operator: Intersection}]}", true),
            ("{operator: Intersection, filters: [{names: [n1]}, {}]}", false),
            ("{filters: []}", false),
            ("{operator: Intersection, filters: []}", false),
        ] {
            assert_eq!(takes(set), wanted, "{set}");
        }
    }
}
