//! The SDR repository (section 33) and the FRU inventory (section 34).

use super::bmc::{Asked, Bmc, Then};
use super::commands::{NOT_PRESENT, RESERVATION_LOST, Refusal, done, exactly, part};

type Answer = Result<(Vec<u8>, Then), Refusal>;

/// The ID that asks for the last record, and that says that there is no next one.
const LAST: u16 = 0xffff;

/// The record that says that the BMC has an inventory (section 43.8), without the header.
const INVENTORY: &[u8] = b"\x11\x17\x20\x00\x80\x00\x00\x10\x00\x07\x01\x00\xccSystem Board";
/// The record of the BMC itself (section 43.9): sensors, SDRs, SEL, FRU inventory.
const CONTROLLER: &[u8] = b"\x12\x0e\x20\x00\x00\x8f\x00\x00\x00\x06\x01\x00\xc3BMC";

/// All records, with their headers; their IDs begin at 1.
fn records(bmc: &Bmc) -> Vec<Vec<u8>> {
    let sensors = bmc.sensors.iter().map(super::sensors::Sensor::record);
    let all = sensors.chain([INVENTORY.to_vec(), CONTROLLER.to_vec()]);
    (1_u16..).zip(all).map(|(id, record)| [&id.to_le_bytes()[..], &[0x51], &record].concat()).collect()
}

/// Get SDR Repository Info.
pub(super) fn repository_info(bmc: &mut Bmc, _: &Asked) -> Answer {
    let count = u16::try_from(records(bmc).len()).unwrap_or(u16::MAX).to_le_bytes();
    let mut data = vec![0x51, count[0], count[1], 0, 0];
    // Added to and erased long ago; it can be reserved, and not be changed.
    data.extend([0; 8]);
    data.push(0x02);
    done(data)
}

/// Reserve SDR Repository: takes the reservation from who had it.
pub(super) fn reserve_repository(bmc: &mut Bmc, _: &Asked) -> Answer {
    bmc.sdr_reservation = bmc.sdr_reservation.checked_add(1).unwrap_or(1);
    done(bmc.sdr_reservation.to_le_bytes().to_vec())
}

/// Get SDR: a record or a part of it.
pub(super) fn read_record(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let [r0, r1, i0, i1, offset, count] = *exactly(asked)?;
    if offset != 0 && u16::from_le_bytes([r0, r1]) != bmc.sdr_reservation {
        return Err(RESERVATION_LOST);
    }
    let records = records(bmc);
    let index = match u16::from_le_bytes([i0, i1]) {
        0 => 0,
        LAST => records.len() - 1,
        id => usize::from(id) - 1,
    };
    let record = records.get(index).ok_or(NOT_PRESENT)?;
    let next = records.get(index + 1).map_or(LAST.to_le_bytes(), |next| [next[0], next[1]]);
    let count = if count == 0xff { record.len() } else { count.into() };
    done([&next[..], part(record, offset.into(), count)?].concat())
}

/// Get FRU Inventory Area Info: its size, which is read by bytes.
pub(super) fn inventory_area(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let [0] = exactly(asked)? else { return Err(NOT_PRESENT) };
    let size = u16::try_from(bmc.fru.len()).unwrap_or(u16::MAX).to_le_bytes();
    done(vec![size[0], size[1], 0])
}

/// Read FRU Data.
pub(super) fn read_inventory(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let [0, o0, o1, count] = *exactly(asked)? else { return Err(NOT_PRESENT) };
    let bytes = part(&bmc.fru, u16::from_le_bytes([o0, o1]).into(), count.into())?;
    done([&[u8::try_from(bytes.len()).unwrap_or_default()][..], bytes].concat())
}
