//! The system event log (§31): Get SEL Info, Reserve SEL, Get SEL Entry, Clear SEL.

use std::collections::HashSet;
use std::time::Duration;

use super::{Command, events};
use crate::client::Client;
use crate::error::{Error, Step};
use crate::session::Delivery;
use crate::wire::{CompletionCode, DecodeError, NetFn, Reader};

const FIRST: u16 = 0x0000;
/// "No more records" as a next id, "the last record" as an id to read (§31.5).
const LAST: u16 = 0xffff;
/// No log has more: the ids have 16 bits, and two of them are taken.
const MAX_ENTRIES: usize = 0xfffe;
/// How long an erasure may take, in looks one second apart.
const ERASE_LOOKS: u32 = 60;
/// How often clearing is begun anew because somebody wrote to the log meanwhile.
const ERASE_TRIES: u32 = 4;

/// Get SEL Info (§31.2).
#[derive(Clone, Copy, Debug)]
pub struct GetSelInfo;

/// The answer to [`GetSelInfo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelInfo {
    /// How many entries there are.
    pub entries: u16,
    /// Bytes left; 0xffff: that many or more.
    pub free_bytes: u16,
    /// When an entry was added last, by the BMC's clock.
    pub last_added: SelTime,
    /// When the log was cleared last, by the BMC's clock.
    pub last_cleared: SelTime,
    /// Events were lost because the log was full.
    pub overflow: bool,
}

/// Seconds since 1970 by the BMC's clock, which may be in any zone. Below `0x2000_0000`: since the BMC started (§37).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SelTime(pub u32);

impl SelTime {
    /// Seconds since 1970, if the clock was set.
    pub fn since_1970(self) -> Option<u32> {
        (0x2000_0000..u32::MAX).contains(&self.0).then_some(self.0)
    }
}

impl Command for GetSelInfo {
    type Output = SelInfo;
    const NAME: &'static str = "Get SEL Info";
    const NETFN: NetFn = NetFn::STORAGE;
    const COMMAND: u8 = 0x40;

    fn decode(&self, data: &[u8]) -> Result<SelInfo, DecodeError> {
        let mut reader = Reader::new(Self::NAME, data);
        reader.skip(1)?;
        Ok(SelInfo {
            entries: reader.u16()?,
            free_bytes: reader.u16()?,
            last_added: SelTime(reader.u32()?),
            last_cleared: SelTime(reader.u32()?),
            overflow: reader.u8()? & 0x80 != 0,
        })
    }
}

/// Reserve SEL (§31.4).
#[derive(Clone, Copy, Debug)]
pub struct ReserveSel;

impl Command for ReserveSel {
    /// The reservation's number.
    type Output = u16;
    const NAME: &'static str = "Reserve SEL";
    const NETFN: NetFn = NetFn::STORAGE;
    const COMMAND: u8 = 0x42;

    fn decode(&self, data: &[u8]) -> Result<u16, DecodeError> {
        Reader::new(Self::NAME, data).u16()
    }
}

/// Get SEL Entry (§31.5), the whole record: that needs no reservation.
#[derive(Clone, Copy, Debug)]
pub struct GetSelEntry {
    /// The record's id; 0 for the first, 0xffff for the last.
    pub id: u16,
}

impl Command for GetSelEntry {
    /// The next record's id (0xffff: there is none), and the record.
    type Output = (u16, SelEntry);
    const NAME: &'static str = "Get SEL Entry";
    const NETFN: NetFn = NetFn::STORAGE;
    const COMMAND: u8 = 0x43;

    fn encode(&self, out: &mut Vec<u8>) {
        let [low, high] = self.id.to_le_bytes();
        out.extend([0, 0, low, high, 0, 0xff]);
    }

    fn decode(&self, data: &[u8]) -> Result<(u16, SelEntry), DecodeError> {
        let mut reader = Reader::new(Self::NAME, data);
        let next = reader.u16()?;
        Ok((next, SelEntry::from_bytes(reader.array()?)))
    }

    fn explain(code: CompletionCode) -> Option<&'static str> {
        (code.0 == 0x81).then_some("the log is being erased")
    }
}

/// Clear SEL (§31.9). Doing it twice is as doing it once.
#[derive(Clone, Copy, Debug)]
pub struct ClearSel {
    /// From [`ReserveSel`].
    pub reservation: u16,
    /// Begin, or only ask how far it is.
    pub begin: bool,
}

impl Command for ClearSel {
    /// True when it is done.
    type Output = bool;
    const NAME: &'static str = "Clear SEL";
    const NETFN: NetFn = NetFn::STORAGE;
    const COMMAND: u8 = 0x47;
    const DELIVERY: Delivery = Delivery::Repeated;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.reservation.to_le_bytes());
        out.extend(*b"CLR");
        out.push(if self.begin { 0xaa } else { 0x00 });
    }

    fn decode(&self, data: &[u8]) -> Result<bool, DecodeError> {
        Reader::new(Self::NAME, data).u8().map(|progress| progress & 0x0f == 1)
    }
}

/// An entry of the log (§32.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelEntry {
    /// Its id.
    pub id: u16,
    /// 02h for events, C0h–DFh for OEM records with a time, E0h–FFh for those without.
    pub record_type: u8,
    /// When, if it has a time.
    pub time: Option<SelTime>,
    /// What happened, if it is an event of the specification.
    pub event: Option<SelEvent>,
    /// The record as it is.
    pub bytes: [u8; 16],
}

/// An event (§32.1, Table 32-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelEvent {
    /// Who says so: slave address or software id, and channel.
    pub generator: u16,
    /// What the sensor is about (Table 42-3).
    pub sensor_type: u8,
    /// The sensor's number.
    pub sensor: u8,
    /// Event/reading type (Table 42-1).
    pub event_type: u8,
    /// True where the state begins, false where it ends.
    pub asserted: bool,
    /// Event data.
    pub data: [u8; 3],
}

impl SelEntry {
    /// A record from the wire. Any bytes are one.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let [id_low, id_high, record_type, t0, t1, t2, t3, g0, g1, _revision, sensor_type, sensor, kind, d1, d2, d3] =
            bytes;
        let is_event = record_type == 0x02;
        Self {
            id: u16::from_le_bytes([id_low, id_high]),
            record_type,
            time: (record_type < 0xe0).then(|| SelTime(u32::from_le_bytes([t0, t1, t2, t3]))),
            event: is_event.then_some(SelEvent {
                generator: u16::from_le_bytes([g0, g1]),
                sensor_type,
                sensor,
                event_type: kind & 0x7f,
                asserted: kind & 0x80 == 0,
                data: [d1, d2, d3],
            }),
            bytes,
        }
    }
}

impl SelEvent {
    /// What the sensor is about, in words.
    pub fn sensor_name(&self) -> &'static str {
        events::sensor_type(self.sensor_type)
    }

    /// The state, in words, and how bad it is; `None` for OEM events and those without words in the specification.
    pub fn state(&self) -> Option<(&'static str, events::Severity)> {
        events::state(self.event_type, self.sensor_type, self.data[0] & 0x0f)
    }
}

impl Client {
    /// The log's entries, oldest first, at most `limit`. Entries that are written meanwhile may be among them.
    pub async fn sel(&self, limit: usize) -> Result<Vec<SelEntry>, Error> {
        self.sel_from(FIRST, limit).await
    }

    /// The newest entries, oldest first, at most `limit`. Where the BMC numbers its entries one by one, as nearly all do,
    /// the older ones are not read.
    pub async fn newest_sel(&self, limit: usize) -> Result<Vec<SelEntry>, Error> {
        let newest = match self.run(&GetSelEntry { id: LAST }).await {
            Err(Error::Completion { code: CompletionCode::NOT_PRESENT, .. }) => return Ok(Vec::new()),
            result => result?.1,
        };
        let before = u16::try_from(limit.saturating_sub(1)).unwrap_or(u16::MAX);
        let mut entries = match newest.id.checked_sub(before) {
            Some(first) if first > FIRST => self.sel_from(first, limit).await?,
            _ => Vec::new(),
        };
        if entries.is_empty() {
            entries = self.sel_from(FIRST, MAX_ENTRIES).await?;
        }
        entries.drain(..entries.len().saturating_sub(limit));
        Ok(entries)
    }

    async fn sel_from(&self, mut id: u16, limit: usize) -> Result<Vec<SelEntry>, Error> {
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        // A log that does not go on would be read for ever.
        while entries.len() < limit.min(MAX_ENTRIES) && seen.insert(id) {
            let (next, entry) = match self.run(&GetSelEntry { id }).await {
                // The log is empty, or was cleared while it was read.
                Err(Error::Completion { code: CompletionCode::NOT_PRESENT, .. }) => break,
                result => result?,
            };
            entries.push(entry);
            if next == LAST || next == FIRST {
                break;
            }
            id = next;
        }
        Ok(entries)
    }

    /// Clears the log and waits until the BMC says that it is done.
    pub async fn clear_sel(&self) -> Result<(), Error> {
        let step = Step::Command(ClearSel::NAME);
        for _ in 0..ERASE_TRIES {
            let reservation = self.run(&ReserveSel).await?;
            match self.erase(reservation).await {
                Err(Error::Completion { code: CompletionCode::RESERVATION_CANCELLED, .. }) => {}
                result => return result,
            }
        }
        Err(Error::Unsettled { step, tries: ERASE_TRIES })
    }

    async fn erase(&self, reservation: u16) -> Result<(), Error> {
        let mut done = self.run(&ClearSel { reservation, begin: true }).await?;
        for _ in 0..ERASE_LOOKS {
            if done {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            done = self.run(&ClearSel { reservation, begin: false }).await?;
        }
        Err(Error::Unsettled { step: Step::Command(ClearSel::NAME), tries: ERASE_LOOKS })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_in_words() {
        // Temperature sensor 1 went above its upper critical threshold; then it came back.
        let mut bytes =
            [0x07, 0x00, 0x02, 0x00, 0x00, 0x00, 0x60, 0x20, 0x00, 0x04, 0x01, 0x01, 0x01, 0x59, 0x60, 0x70];
        let entry = SelEntry::from_bytes(bytes);
        let event = entry.event.unwrap();
        assert_eq!((entry.id, entry.time), (7, Some(SelTime(0x6000_0000))));
        assert_eq!((event.sensor_name(), event.asserted), ("Temperature", true));
        assert_eq!(event.state(), Some(("above upper critical, rising", events::Severity::Critical)));
        bytes[12] |= 0x80;
        assert!(!SelEntry::from_bytes(bytes).event.unwrap().asserted);
        bytes[2] = 0xe0;
        assert_eq!((SelEntry::from_bytes(bytes).time, SelEntry::from_bytes(bytes).event), (None, None));
    }
}
