//! The SDR repository (§33): what sensors and FRUs a machine has; its records (§43).

use std::collections::HashSet;

use super::text::{self, Encoding};
use super::{Command, units};
use crate::client::Client;
use crate::error::{Error, Step};
use crate::wire::{BMC_ADDRESS, CompletionCode, DecodeError, NetFn, Reader};

const FIRST: u16 = 0x0000;
const LAST: u16 = 0xffff;
const HEADER: u8 = 5;
/// No machine has more sensors than this many times over.
const MAX_RECORDS: usize = 4096;
/// How often reading is resumed after the repository changed.
const MAX_RESERVATIONS: u32 = 8;
/// Bytes that are asked for at once at first. A BMC that cannot return so many says so (`CAh`, §33.12).
const CHUNK: u8 = 64;
/// Any BMC can return so many.
const MIN_CHUNK: u8 = 8;

/// Get SDR Repository Info (§33.9).
#[derive(Clone, Copy, Debug)]
pub struct GetSdrRepositoryInfo;

/// The answer to [`GetSdrRepositoryInfo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdrRepositoryInfo {
    /// How many records there are.
    pub records: u16,
    /// When a record was added last: while this and `last_erased` stay as they are, so do the records.
    pub last_added: u32,
    /// When a record was erased last.
    pub last_erased: u32,
}

impl Command for GetSdrRepositoryInfo {
    type Output = SdrRepositoryInfo;
    const NAME: &'static str = "Get SDR Repository Info";
    const NETFN: NetFn = NetFn::STORAGE;
    const COMMAND: u8 = 0x20;

    fn decode(&self, data: &[u8]) -> Result<SdrRepositoryInfo, DecodeError> {
        let mut reader = Reader::new(Self::NAME, data);
        reader.skip(1)?;
        let records = reader.u16()?;
        reader.skip(2)?;
        Ok(SdrRepositoryInfo { records, last_added: reader.u32()?, last_erased: reader.u32()? })
    }
}

/// Reserve SDR Repository (§33.11).
#[derive(Clone, Copy, Debug)]
pub struct ReserveSdrRepository;

impl Command for ReserveSdrRepository {
    /// The reservation's number.
    type Output = u16;
    const NAME: &'static str = "Reserve SDR Repository";
    const NETFN: NetFn = NetFn::STORAGE;
    const COMMAND: u8 = 0x22;

    fn decode(&self, data: &[u8]) -> Result<u16, DecodeError> {
        Reader::new(Self::NAME, data).u16()
    }
}

/// Get SDR (§33.12), a part of a record.
#[derive(Clone, Copy, Debug)]
pub struct GetSdr {
    /// From [`ReserveSdrRepository`].
    pub reservation: u16,
    /// The record's id; 0 for the first.
    pub id: u16,
    /// Where in the record.
    pub offset: u8,
    /// How many bytes.
    pub count: u8,
}

impl Command for GetSdr {
    /// The next record's id (0xffff: there is none), and the bytes.
    type Output = (u16, Vec<u8>);
    const NAME: &'static str = "Get SDR";
    const NETFN: NetFn = NetFn::STORAGE;
    const COMMAND: u8 = 0x23;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.reservation.to_le_bytes());
        out.extend(self.id.to_le_bytes());
        out.extend([self.offset, self.count]);
    }

    fn decode(&self, data: &[u8]) -> Result<(u16, Vec<u8>), DecodeError> {
        let mut reader = Reader::new(Self::NAME, data);
        let next = reader.u16()?;
        if reader.remaining() == 0 || reader.remaining() > usize::from(self.count) {
            return Err(reader.invalid("not as many bytes as were asked for"));
        }
        Ok((next, reader.rest().to_vec()))
    }
}

/// A record of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A sensor with a value, thresholds and so on (type 01h, §43.1), or with states alone (type 02h, §43.2).
    Sensor(Box<SensorRecord>),
    /// Something with a FRU inventory (type 11h, §43.8).
    Fru(FruLocator),
    /// Another management controller (type 12h, §43.9).
    Controller(ControllerLocator),
    /// A record of another type.
    Other(u8),
}

/// Full and compact sensor records (§43.1, §43.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensorRecord {
    /// The controller that owns it: a slave address, or a software id if odd.
    pub owner: u8,
    /// The LUN in the owner.
    pub lun: u8,
    /// The sensor's number there.
    pub number: u8,
    /// What it is part of (§43.14).
    pub entity: u8,
    /// Which of those.
    pub instance: u8,
    /// What it is about (Table 42-3).
    pub sensor_type: u8,
    /// Event/reading type (Table 42-1).
    pub event_type: u8,
    /// The unit of its value.
    pub unit: String,
    /// How a reading becomes a value; `None` for a sensor with states alone.
    pub conversion: Option<Conversion>,
    /// Its name.
    pub name: String,
}

/// How a reading becomes a value (§36.3), and the raw thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// How a raw byte is signed: 0 not, 1 one's complement, 2 two's complement.
    pub format: u8,
    /// Which function is applied (0–0Bh), or 70h and more: the factors depend on the reading.
    pub linearization: u8,
    /// The factors.
    pub factors: Factors,
    /// Bits 0 to 5: lower non-critical, lower critical, lower non-recoverable, upper non-critical, upper critical and
    /// upper non-recoverable threshold exist.
    pub readable: u8,
    /// The thresholds, raw, in the same order.
    pub thresholds: [u8; 6],
}

/// The factors in `y = (M·x + B·10^K1)·10^K2` (§36.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factors {
    /// M, 10 bits.
    pub m: i16,
    /// B, 10 bits.
    pub b: i16,
    /// K1, 4 bits.
    pub b_exponent: i8,
    /// K2, 4 bits.
    pub result_exponent: i8,
}

/// FRU device locator (§43.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FruLocator {
    /// Address of the controller that has it, or of the memory itself.
    pub address: u8,
    /// Its number there.
    pub id: u8,
    /// A controller must be asked for it: it is no bare memory on a bus.
    pub logical: bool,
    /// Its name.
    pub name: String,
}

/// Management controller device locator (§43.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerLocator {
    /// Its slave address.
    pub address: u8,
    /// Its name.
    pub name: String,
}

impl Record {
    /// A record from its bytes, with its header (§43).
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("sensor data record", bytes);
        let [_, _, _version, kind, length] = reader.array()?;
        let body = reader.bytes(usize::from(length).min(reader.remaining()))?;
        match kind {
            0x01 => SensorRecord::decode_full(body).map(|record| Self::Sensor(Box::new(record))),
            0x02 => SensorRecord::decode_compact(body).map(|record| Self::Sensor(Box::new(record))),
            0x11 => FruLocator::decode(body).map(Self::Fru),
            0x12 => ControllerLocator::decode(body).map(Self::Controller),
            other => Ok(Self::Other(other)),
        }
    }
}

impl SensorRecord {
    fn decode_full(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("full sensor record", body);
        let (mut this, units1, settable) = Self::decode_start(&mut reader)?;
        let [linearization, m, m_high, b, b_high, _accuracy, exponents] = reader.array()?;
        let [_analog, _nominal, _normal_max, _normal_min, _max, _min] = reader.array()?;
        let [unr, uc, unc, lnr, lc, lnc] = reader.array()?;
        // Hysteresis, reserved, OEM.
        reader.skip(5)?;
        this.name = name(&mut reader)?;
        let format = units1 >> 6;
        this.conversion = (format != 3).then_some(Conversion {
            format,
            linearization: linearization & 0x7f,
            factors: Factors::from_bytes([m, m_high, b, b_high, exponents]),
            readable: settable & 0x3f,
            thresholds: [lnc, lc, lnr, unc, uc, unr],
        });
        Ok(this)
    }

    fn decode_compact(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("compact sensor record", body);
        let (mut this, _, _) = Self::decode_start(&mut reader)?;
        // Sharing, hysteresis, reserved, OEM.
        reader.skip(8)?;
        this.name = name(&mut reader)?;
        Ok(this)
    }

    /// What both have; also the first byte of the units and the mask of readable thresholds.
    fn decode_start(reader: &mut Reader<'_>) -> Result<(Self, u8, u8), DecodeError> {
        let [owner, lun, number, entity, instance, _init, _capabilities, sensor_type, event_type] = reader.array()?;
        let [_, _, _, _, readable, _settable] = reader.array()?;
        let units: [u8; 3] = reader.array()?;
        let this = Self {
            owner,
            lun: lun & 0x03,
            number,
            entity,
            instance: instance & 0x7f,
            sensor_type,
            event_type: event_type & 0x7f,
            unit: units::unit(units),
            conversion: None,
            name: String::new(),
        };
        Ok((this, units[0], readable))
    }

    /// True if the BMC itself has it; others must be asked over a bridge, which this crate does not do.
    pub fn is_of_bmc(&self) -> bool {
        self.owner == BMC_ADDRESS
    }
}

impl Factors {
    /// From M, M and tolerance, B, B and accuracy, exponents.
    pub(crate) fn from_bytes([m, m_high, b, b_high, exponents]: [u8; 5]) -> Self {
        Self {
            m: ten_bits(m, m_high),
            b: ten_bits(b, b_high),
            b_exponent: four_bits(exponents),
            result_exponent: four_bits(exponents >> 4),
        }
    }
}

/// Ten bits, two's complement: the upper two are bits 7 and 6 of the second byte.
fn ten_bits(low: u8, high: u8) -> i16 {
    // Both shifted to the top of 16 bits, so that the shift back extends the sign.
    i16::from_be_bytes([high & 0xc0 | low >> 2, low << 6]) >> 6
}

fn four_bits(nibble: u8) -> i8 {
    (nibble << 4).cast_signed() >> 4
}

impl FruLocator {
    fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("FRU device locator", body);
        let [address, id, flags] = reader.array()?;
        // Channel, reserved, device type and modifier, entity and instance, OEM.
        reader.skip(7)?;
        Ok(Self { address, id, logical: flags & 0x80 != 0, name: name(&mut reader)? })
    }

    /// True if the BMC itself can be asked for it.
    pub fn is_of_bmc(&self) -> bool {
        self.logical && self.address == BMC_ADDRESS
    }
}

impl ControllerLocator {
    fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("management controller device locator", body);
        let address = reader.u8()?;
        // Channel, power state notification, capabilities, reserved, entity and instance, OEM.
        reader.skip(9)?;
        Ok(Self { address, name: name(&mut reader)? })
    }
}

/// The name at the end: type/length, then as many bytes; a record that is cut short has a short name.
fn name(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    let type_length = reader.u8()?;
    let length = usize::from(type_length & 0x1f).min(reader.remaining());
    Ok(text::decode(Encoding::of_sdr(type_length), reader.bytes(length)?))
}

impl Client {
    /// All records of the repository. Those that cannot be read are left out.
    pub async fn sdr(&self) -> Result<Vec<Record>, Error> {
        let step = Step::Command(GetSdr::NAME);
        let mut reservations = 1;
        let mut reservation = self.reserve_sdr().await?;
        let mut chunk = CHUNK;
        let mut records = Vec::new();
        let mut id = FIRST;
        let mut seen = HashSet::new();
        for _ in 0..MAX_RECORDS {
            let (next, bytes) = match self.sdr_record(reservation, id, &mut chunk).await {
                Ok(read) => read,
                Err(Error::Completion { code: CompletionCode::RESERVATION_CANCELLED, .. }) => {
                    if reservations >= MAX_RESERVATIONS {
                        return Err(Error::Unsettled { step, tries: reservations });
                    }
                    reservations += 1;
                    reservation = self.reserve_sdr().await?;
                    continue;
                }
                // The repository is empty.
                Err(Error::Completion { code: CompletionCode::NOT_PRESENT, .. }) if id == FIRST => break,
                Err(error) => return Err(error),
            };
            records.extend(Record::decode(&bytes));
            // A repository that does not go on would be read for ever.
            if next == LAST || next == FIRST || !seen.insert(next) {
                break;
            }
            id = next;
        }
        Ok(records)
    }

    /// A reservation; 0 serves a BMC that has none (§33.11).
    async fn reserve_sdr(&self) -> Result<u16, Error> {
        match self.run(&ReserveSdrRepository).await {
            Err(Error::Completion { code: CompletionCode::INVALID_COMMAND, .. }) => Ok(0),
            reservation => reservation,
        }
    }

    /// One record, in parts that the BMC can return. One whose body it cannot is cut after its header, which tells where it
    /// goes on.
    async fn sdr_record(&self, reservation: u16, id: u16, chunk: &mut u8) -> Result<(u16, Vec<u8>), Error> {
        let (next, mut bytes) = self.run(&GetSdr { reservation, id, offset: 0, count: HEADER }).await?;
        let length = HEADER.saturating_add(bytes.get(4).copied().unwrap_or_default());
        while let Some(offset) = u8::try_from(bytes.len()).ok().filter(|offset| *offset < length) {
            let count = (*chunk).min(length - offset);
            match self.run(&GetSdr { reservation, id, offset, count }).await {
                Ok((_, part)) => bytes.extend(part),
                Err(Error::Completion { code, .. }) if is_too_long(code) && *chunk > MIN_CHUNK => *chunk /= 2,
                Err(Error::Completion { code, .. }) if code != CompletionCode::RESERVATION_CANCELLED => break,
                Err(Error::Malformed { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        Ok((next, bytes))
    }
}

/// What BMCs answer when asked for too many bytes: `CAh` by the specification, some another code about lengths.
pub(crate) fn is_too_long(code: CompletionCode) -> bool {
    [
        CompletionCode::CANNOT_RETURN_BYTES,
        CompletionCode::LENGTH_LIMIT_EXCEEDED,
        CompletionCode::INVALID_LENGTH,
        CompletionCode::UNSPECIFIED,
    ]
    .contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The full record of a temperature sensor as `ipmi_sim` serves it: M 1, B 0, thresholds 112, 144, 160.
    const FULL: [u8; 55] = [
        0x01, 0x00, 0x51, 0x01, 0x31, 0x20, 0x00, 0x01, 0x03, 0x01, 0x67, 0x88, 0x01, 0x01, 0xc0, 0x0f, 0xc0, 0x7f,
        0x38, 0x38, 0x00, 0x01, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x60, 0xb0, 0x00, 0xb0, 0x00,
        0xa0, 0x90, 0x70, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xc6, b'I', b'n', b'T', b'e', b'm', b'p',
        0xff,
    ];

    #[test]
    fn a_full_record() {
        let Ok(Record::Sensor(sensor)) = Record::decode(&FULL) else { panic!("not a sensor") };
        assert_eq!((sensor.name.as_str(), sensor.unit.as_str(), sensor.number), ("InTemp", "°C", 1));
        let conversion = sensor.conversion.unwrap();
        assert_eq!(conversion.factors, Factors { m: 1, b: 0, b_exponent: 0, result_exponent: 0 });
        assert_eq!((conversion.readable, conversion.thresholds), (0x38, [0, 0, 0, 0x70, 0x90, 0xa0]));
    }

    #[test]
    fn factors_are_signed() {
        let factors = Factors::from_bytes([0xff, 0xc0, 0x00, 0x80, 0xf8]);
        assert_eq!(factors, Factors { m: -1, b: -512, b_exponent: -8, result_exponent: -1 });
        let factors = Factors::from_bytes([0xff, 0x7f, 0x01, 0x3f, 0x17]);
        assert_eq!(factors, Factors { m: 511, b: 1, b_exponent: 7, result_exponent: 1 });
    }

    #[test]
    fn a_record_cut_anywhere_is_an_error_or_a_record() {
        for length in 0..FULL.len() {
            let _ = Record::decode(&FULL[..length]);
        }
        assert!(Record::decode(&FULL[..40]).is_err());
    }
}
