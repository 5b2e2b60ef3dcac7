//! The page on Redfish shows the table of quirks as it is in the code.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write;

use slipway_drivers::redfish::quirks::QUIRKS;

#[test]
fn the_page_shows_every_quirk() {
    let mut table = "| BMCs | what is different, and what is done | seen in |\n|---|---|---|\n".to_owned();
    for quirk in QUIRKS {
        let vendor = if quirk.vendor.is_empty() { "any" } else { quirk.vendor };
        writeln!(table, "| {vendor} | {} | {} |", quirk.what, quirk.source).unwrap();
    }
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/redfish.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.ends_with(&table), "docs/redfish.md must end with:\n\n{table}");
}
