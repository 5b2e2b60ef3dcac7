//! The inventory of the machine, in the format of "Platform Management FRU Information Storage Definition" 1.0.

use super::packet::checksum;
use crate::bmc::Identity;

/// English.
const LANGUAGE: u8 = 25;
/// A rack mount chassis.
const RACK_MOUNT: u8 = 0x17;
/// No more fields.
const END: u8 = 0xc1;

/// The whole inventory: header, chassis, board and product.
pub(super) fn inventory(identity: &Identity) -> Vec<u8> {
    let Identity { manufacturer, model, serial, .. } = identity;
    let chassis = area(&[RACK_MOUNT], &["AX-CH", &format!("C{serial}")]);
    // Made on the first of January 2026: minutes since 1996.
    let [m0, m1, m2, _] = (10_958_u32 * 24 * 60).to_le_bytes();
    let board_name = format!("{model} Board");
    let board = area(&[LANGUAGE, m0, m1, m2], &[manufacturer, &board_name, &format!("B{serial}"), "AX-BRD", ""]);
    let product = area(&[LANGUAGE], &[manufacturer, model, "AX-1-2026", "R1", serial, "", ""]);
    let at = |length: usize| u8::try_from((8 + length) / 8).unwrap_or_default();
    let mut header = vec![1, 0, at(0), at(chassis.len()), at(chassis.len() + board.len()), 0, 0];
    header.push(checksum(&header));
    [header, chassis, board, product].concat()
}

/// An area: format, length in eights, what is fixed, the fields, padding, checksum.
fn area(fixed: &[u8], fields: &[&str]) -> Vec<u8> {
    let mut area = [&[1, 0][..], fixed].concat();
    for field in fields {
        // Eight bits a letter.
        area.push(0xc0 | u8::try_from(field.len().min(0x3f)).unwrap_or_default());
        area.extend(field.bytes().take(0x3f));
    }
    area.push(END);
    while area.len() % 8 != 7 {
        area.push(0);
    }
    area[1] = u8::try_from((area.len() + 1) / 8).unwrap_or_default();
    area.push(checksum(&area));
    area
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_whole_and_sum_up_to_nothing() {
        let inventory = inventory(&Identity::numbered(1));
        assert_eq!(inventory.len() % 8, 0);
        assert_eq!(checksum(&inventory[..8]), 0);
        let mut at = 8;
        for offset in &inventory[2..5] {
            assert_eq!(usize::from(*offset) * 8, at);
            let length = usize::from(inventory[at + 1]) * 8;
            assert_eq!(checksum(&inventory[at..at + length]), 0);
            at += length;
        }
        assert_eq!(at, inventory.len());
    }
}
