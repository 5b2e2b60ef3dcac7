//! The System Event Log and its commands (section 31).

use jiff::Timestamp;

use super::bmc::{Asked, Bmc, Then};
use super::commands::{INVALID_FIELD, NOT_PRESENT, OUT_OF_SPACE, RESERVATION_LOST, Refusal, done, exactly, part};
use crate::bmc::{Event, Happening};

/// So many records fit.
const CAPACITY: usize = 512;
const RECORD: usize = 16;
/// The ID that asks for the newest record, and that says that there is no next one.
const LAST: u16 = 0xffff;
/// Sensors of the events that the BMC logs by itself.
const POWER_UNIT: u8 = 0x70;
const SYSTEM_BOOT: u8 = 0x71;

type Answer = Result<(Vec<u8>, Then), Refusal>;

/// The log.
#[derive(Debug, Default)]
pub(super) struct Sel {
    records: Vec<[u8; RECORD]>,
    last_id: u16,
    reservation: u16,
    added: u32,
    erased: u32,
    overflowed: bool,
    /// So many of the machine's events have been looked at.
    events: usize,
}

impl Sel {
    /// Adds an event of the system: sensor type and number, kind of event, data. Its ID.
    pub(super) fn log(&mut self, at: Timestamp, sensor: [u8; 2], kind: u8, data: [u8; 3]) -> Result<u16, Refusal> {
        let time = seconds(at).to_le_bytes();
        let mut record = [0; RECORD];
        // System event; generator 20h is the BMC; revision of the event's format.
        record[2] = 0x02;
        record[3..7].copy_from_slice(&time);
        record[7..10].copy_from_slice(&[0x20, 0, 0x04]);
        record[10..12].copy_from_slice(&sensor);
        record[12] = kind;
        record[13..].copy_from_slice(&data);
        self.add(record, at)
    }

    fn add(&mut self, mut record: [u8; RECORD], at: Timestamp) -> Result<u16, Refusal> {
        if self.records.len() == CAPACITY {
            self.overflowed = true;
            return Err(OUT_OF_SPACE);
        }
        // 0 and FFFFh stand for the first and the last one.
        self.last_id = self.last_id % (LAST - 1) + 1;
        record[..2].copy_from_slice(&self.last_id.to_le_bytes());
        self.records.push(record);
        self.added = seconds(at);
        Ok(self.last_id)
    }

    fn find(&self, id: u16) -> Option<usize> {
        match id {
            0 => (!self.records.is_empty()).then_some(0),
            LAST => self.records.len().checked_sub(1),
            id => self.records.iter().position(|record| record[..2] == id.to_le_bytes()),
        }
    }

    /// Logs what happened to the machine since the last time.
    fn follow(&mut self, events: &[Event]) {
        self.events += events.len();
        for event in events {
            let (sensor, data) = match event.what {
                // Power unit: power off. System boot initiated: by power up, by a hard reset.
                Happening::Off(_) => ([0x09, POWER_UNIT], 0),
                Happening::On(_) => ([0x1d, SYSTEM_BOOT], 0),
                Happening::Reset(_) => ([0x1d, SYSTEM_BOOT], 1),
                _ => continue,
            };
            // A full log stays as it is, and says so.
            let _ = self.log(event.at, sensor, 0x6f, [data, 0xff, 0xff]);
        }
    }
}

/// The log with all that has happened until now.
pub(super) fn current(bmc: &mut Bmc) -> &mut Sel {
    let events = bmc.machine.events_from(bmc.sel.events);
    bmc.sel.follow(&events);
    &mut bmc.sel
}

/// Get SEL Info.
pub(super) fn info(bmc: &mut Bmc, _: &Asked) -> Answer {
    let sel = current(bmc);
    let count = u16::try_from(sel.records.len()).unwrap_or(u16::MAX);
    let free = u16::try_from((CAPACITY - sel.records.len()) * RECORD).unwrap_or(u16::MAX);
    let mut data = vec![0x51];
    data.extend(count.to_le_bytes());
    data.extend(free.to_le_bytes());
    data.extend(sel.added.to_le_bytes());
    data.extend(sel.erased.to_le_bytes());
    // Reserve and allocation information are supported.
    data.push(0x03 | u8::from(sel.overflowed) << 7);
    done(data)
}

/// Get SEL Allocation Info.
pub(super) fn allocation(bmc: &mut Bmc, _: &Asked) -> Answer {
    let units = u16::try_from(CAPACITY).unwrap_or(u16::MAX).to_le_bytes();
    let free = u16::try_from(CAPACITY - current(bmc).records.len()).unwrap_or(u16::MAX).to_le_bytes();
    let [size_low, size_high] = u16::try_from(RECORD).unwrap_or_default().to_le_bytes();
    done(vec![units[0], units[1], size_low, size_high, free[0], free[1], free[0], free[1], 1])
}

/// Reserve SEL: takes the reservation from who had it.
pub(super) fn reserve(bmc: &mut Bmc, _: &Asked) -> Answer {
    let sel = current(bmc);
    sel.reservation = sel.reservation.checked_add(1).unwrap_or(1);
    done(sel.reservation.to_le_bytes().to_vec())
}

/// Get SEL Entry.
pub(super) fn read(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let [r0, r1, i0, i1, offset, count] = *exactly(asked)?;
    let sel = current(bmc);
    let reservation = u16::from_le_bytes([r0, r1]);
    if offset != 0 && reservation != sel.reservation {
        return Err(RESERVATION_LOST);
    }
    let index = sel.find(u16::from_le_bytes([i0, i1])).ok_or(NOT_PRESENT)?;
    let next = sel.records.get(index + 1).map_or(LAST.to_le_bytes(), |next| [next[0], next[1]]);
    let count = if count == 0xff { RECORD } else { count.into() };
    let bytes = part(&sel.records[index], offset.into(), count)?;
    done([&next[..], bytes].concat())
}

/// Add SEL Entry.
pub(super) fn add(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let mut record: [u8; RECORD] = *exactly(asked)?;
    let now = bmc.machine.now();
    if record[2] < 0xe0 {
        record[3..7].copy_from_slice(&seconds(now).to_le_bytes());
    }
    done(current(bmc).add(record, now)?.to_le_bytes().to_vec())
}

/// Clear SEL: begins (which ends at once), or says how far it is.
pub(super) fn clear(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let now = bmc.machine.now();
    let sel = current(bmc);
    let [r0, r1, word @ .., action] = exactly::<6>(asked)?;
    if u16::from_le_bytes([*r0, *r1]) != sel.reservation || sel.reservation == 0 {
        return Err(RESERVATION_LOST);
    }
    match (word, action) {
        (b"CLR", 0xaa) => {
            sel.records.clear();
            sel.overflowed = false;
            sel.erased = seconds(now);
            // It is begun; asked again, it is done.
            done(vec![0])
        }
        (b"CLR", 0) => done(vec![1]),
        _ => Err(INVALID_FIELD),
    }
}

/// Get SEL Time.
pub(super) fn time(bmc: &mut Bmc, _: &Asked) -> Answer {
    done(seconds(bmc.machine.now()).to_le_bytes().to_vec())
}

/// Seconds since 1970, as the log has them.
fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.as_second()).unwrap_or(u32::MAX)
}
