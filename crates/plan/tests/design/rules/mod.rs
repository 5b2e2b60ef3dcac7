//! Each rule fires on the example that breaks it, at the line that does, and on no valid site.

mod cases;
mod wholes;

use std::collections::BTreeSet;

use slipway_plan::Finding;
use slipway_plan::design::RULES;
use slipway_plan::design::rules::Check;

use crate::support::Site;
use cases::{CASES, ELSEWHERE, NEAR};

fn is_of(finding: &Finding, check: Check) -> bool {
    let rule = check.rule();
    finding.code == rule.code && finding.rule == Some(rule.name) && finding.severity == rule.severity
}

#[test]
fn nothing_is_wrong_with_the_lab() {
    let site = Site::lab(&[]);
    assert!(site.findings.is_empty(), "{}", site.told());
}

#[test]
fn each_rule_fires_where_it_should() {
    let mut failures = Vec::new();
    for case in CASES {
        let site = Site::lab(case.changes);
        let found = site.findings.iter().find(|f| is_of(f, case.check) && f.message.contains(case.message));
        match found {
            None => failures.push(format!("{:?} {:?} did not fire:\n{}", case.check, case.changes, site.told())),
            Some(finding) if !site.shown(finding).starts_with(case.at) => {
                failures.push(format!("{:?} points at `{}`, not at `{}`", case.check, site.shown(finding), case.at));
            }
            Some(_) => {}
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn what_comes_near_to_breaking_a_rule_does_not() {
    let mut failures = Vec::new();
    for (check, changes) in NEAR {
        let site = Site::lab(changes);
        if site.findings.iter().any(|finding| is_of(finding, *check)) {
            failures.push(format!("{check:?} fires for {changes:?}:\n{}", site.told()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn no_rule_goes_untested() {
    let tested: BTreeSet<Check> =
        CASES.iter().map(|case| case.check).chain(ELSEWHERE.iter().map(|(check, _)| *check)).collect();
    let untested: Vec<_> = RULES.iter().filter(|rule| !tested.contains(&rule.check)).collect();
    assert!(untested.is_empty(), "{untested:?}");
}

#[test]
fn the_table_is_in_order() {
    for (number, rule) in RULES.iter().enumerate() {
        assert_eq!(rule.check as usize, number);
        assert!(!rule.what.is_empty() && !rule.hint.is_empty() && !rule.example.is_empty(), "{rule:?}");
    }
}
