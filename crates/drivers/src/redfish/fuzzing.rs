//! What is fuzzed: all that reads JSON of a BMC. The tests run it on JSON made of the words that are looked for, the crate
//! `fuzz/` on any bytes.

use serde_json::Value;

use super::client::Root;
use super::errors::Refusal;
use super::json::{MAX_LIST, Path, Resource, parse};
use super::{boot, health, inventory, log, media, power};

/// What a BMC may quote, and must never be shown.
const SECRET: &str = "secret";

/// The body of an answer. If it is JSON, whatever reads it must not panic, and what it makes of it must be bounded.
///
/// # Panics
///
/// If it is not so.
pub fn answer(data: &[u8]) {
    if let Some(body) = parse(data) {
        read(&body);
    }
}

/// The same with JSON.
pub(super) fn read(body: &Value) {
    let Some(path) = Path::parse("/redfish/v1/x") else { return };
    let resource = Resource::new(path, body.clone(), None);
    let texts = [
        inventory::cpu(&resource).map(|cpu| format!("{}{:?}", cpu.name, cpu.model)),
        inventory::module(&resource).map(|module| format!("{}{:?}{:?}", module.name, module.type_, module.serial)),
        inventory::disk(&resource).map(|disk| format!("{}{:?}{:?}", disk.name, disk.model, disk.serial)),
        inventory::nic(&resource).map(|nic| format!("{}{:?}", nic.name, nic.mac)),
        inventory::uuid(body),
        power::last_reset(body),
        Root::read(body).vendor,
    ];
    for text in texts.into_iter().flatten() {
        assert!(text.len() < 1000 && !text.chars().any(char::is_control), "{text:?}");
    }
    assert!(inventory::devices(body).len() <= MAX_LIST, "too many disks");
    let _ = (inventory::memory_mib(body), power::state(body), boot::read(body));
    let _ = (health::rollup(body), health::sensors(body), media::read(body), log::entry(body));
    let refusal = Refusal::read(body, &[SECRET.to_owned()]);
    assert!(refusal.words.len() <= 500 && !refusal.words.contains(SECRET), "{:?}", refusal.words);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::json::hostile;
    use super::read;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_json_panics_and_all_texts_are_bounded(body in hostile()) {
            read(&body);
        }
    }
}
