//! Sensors: their records (section 43), readings and thresholds (section 35).

use super::bmc::{Asked, Bmc, Then};
use super::commands::{INVALID_LENGTH, NOT_PRESENT, Refusal, done, exactly};
use crate::bmc::Power;

type Answer = Result<(Vec<u8>, Then), Refusal>;

/// A sensor. Its numbers are raw: what they mean is in its record.
#[derive(Clone, Debug)]
pub(super) struct Sensor {
    pub(super) number: u8,
    pub(super) name: &'static str,
    /// Type (table 42-3): temperature, voltage, fan, …
    kind: u8,
    /// What it is part of, and which of these (section 43.14).
    entity: [u8; 2],
    pub(super) reading: u8,
    /// It reads nothing while the machine is off.
    needs_power: bool,
    nature: Nature,
}

#[derive(Clone, Debug)]
enum Nature {
    Analog(Analog),
    /// States that hold or do not, each a bit of the reading.
    Discrete,
}

/// How a number is made of a reading: (m × reading + b × 10^`b_exponent`) × 10^`exponent`.
#[derive(Clone, Debug)]
struct Analog {
    unit: u8,
    signed: bool,
    m: i16,
    b: i16,
    b_exponent: i8,
    exponent: i8,
    /// Lower non-critical, critical, non-recoverable, then upper ones; those that there are.
    thresholds: [Option<u8>; 6],
}

const CELSIUS: u8 = 1;
const VOLTS: u8 = 4;
const WATTS: u8 = 6;
const RPM: u8 = 18;

const TEMPERATURE: u8 = 0x01;
const VOLTAGE: u8 = 0x02;
const FAN: u8 = 0x04;
const INTRUSION: u8 = 0x05;
const POWER_SUPPLY: u8 = 0x08;
const OTHER_UNITS: u8 = 0x0b;

/// The sensors of a machine.
pub(super) fn all() -> Vec<Sensor> {
    let plain = Analog { unit: CELSIUS, signed: false, m: 1, b: 0, b_exponent: 0, exponent: 0, thresholds: [None; 6] };
    let upper = |a, b, c| [None, None, None, Some(a), Some(b), Some(c)];
    let analog = |number, name, kind, entity, reading, needs_power, analog| Sensor {
        number,
        name,
        kind,
        entity,
        reading,
        needs_power,
        nature: Nature::Analog(analog),
    };
    let discrete = |number, name, kind, entity, reading| Sensor {
        number,
        name,
        kind,
        entity,
        reading,
        needs_power: false,
        nature: Nature::Discrete,
    };
    vec![
        analog(
            1,
            "CPU1 Temp",
            TEMPERATURE,
            [3, 1],
            42,
            true,
            Analog { thresholds: upper(85, 90, 95), ..plain.clone() },
        ),
        analog(
            2,
            "Inlet Temp",
            TEMPERATURE,
            [0x37, 1],
            23,
            false,
            Analog { thresholds: upper(40, 45, 50), ..plain.clone() },
        ),
        // Two's complement: degrees below the limit.
        analog(
            3,
            "DIMM Margin",
            TEMPERATURE,
            [0x20, 1],
            0xe2,
            true,
            Analog { signed: true, thresholds: upper(0xf6, 0xfb, 0), ..plain.clone() },
        ),
        analog(
            4,
            "Fan1",
            FAN,
            [0x1d, 1],
            84,
            true,
            Analog { unit: RPM, m: 75, thresholds: [Some(16), Some(12), Some(8), None, None, None], ..plain.clone() },
        ),
        // 12.06 V: 0.06 V a step.
        analog(
            5,
            "P12V",
            VOLTAGE,
            [7, 1],
            201,
            true,
            Analog {
                unit: VOLTS,
                m: 6,
                exponent: -2,
                thresholds: [Some(180), Some(175), None, Some(220), Some(225), None],
                ..plain.clone()
            },
        ),
        // 12 W a step, beginning at 20 W.
        analog(
            6,
            "PSU1 Power",
            OTHER_UNITS,
            [10, 1],
            15,
            false,
            Analog { unit: WATTS, m: 12, b: 2, b_exponent: 1, ..plain },
        ),
        discrete(7, "PSU1 Status", POWER_SUPPLY, [10, 1], 0b1),
        discrete(8, "Intrusion", INTRUSION, [0x17, 1], 0),
    ]
}

impl Sensor {
    fn thresholds(&self) -> [Option<u8>; 6] {
        match &self.nature {
            Nature::Analog(analog) => analog.thresholds,
            Nature::Discrete => [None; 6],
        }
    }

    /// A bit for each threshold that there is.
    fn mask(&self) -> u8 {
        bits(self.thresholds().map(|threshold| threshold.is_some()))
    }

    /// A bit for each threshold that the reading is beyond.
    fn beyond(&self) -> u8 {
        let signed = matches!(&self.nature, Nature::Analog(analog) if analog.signed);
        let number = |raw: u8| if signed { i16::from(raw.cast_signed()) } else { i16::from(raw) };
        let reading = number(self.reading);
        let mut index = 0;
        bits(self.thresholds().map(|threshold| {
            let is_lower = index < 3;
            index += 1;
            threshold.is_some_and(|it| if is_lower { reading <= number(it) } else { reading >= number(it) })
        }))
    }

    /// Its record, without the header.
    pub(super) fn record(&self) -> Vec<u8> {
        let (kind, reading_type) = match self.nature {
            Nature::Analog(_) => (FULL, 1),
            Nature::Discrete => (COMPACT, 0x6f),
        };
        // Owner is the BMC; scanning and events are on; thresholds are there to be read.
        let mut record = vec![kind, 0, 0x20, 0, self.number];
        record.extend(self.entity);
        record.extend([0x7f, 0x44, self.kind, reading_type]);
        match &self.nature {
            Nature::Discrete => {
                // Events and states: the first four. No units, not shared, no hysteresis.
                record.extend([0x0f, 0, 0x0f, 0, 0x0f, 0]);
                record.extend([0xc0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
            }
            Nature::Analog(analog) => {
                let mask = self.mask();
                // No events; thresholds can be read, and none set.
                record.extend([0, mask << 4 & 0x70, 0, mask << 1 & 0x70, mask, 0]);
                record.extend([if analog.signed { 0x80 } else { 0 }, analog.unit, 0, 0]);
                record.extend(ten_bits(analog.m));
                record.extend(ten_bits(analog.b));
                let exponents = (analog.exponent << 4).cast_unsigned() | analog.b_exponent.cast_unsigned() & 0xf;
                // No accuracy; the nominal and normal readings are not given.
                record.extend([0, exponents, 0, 0, 0, 0]);
                record.extend(if analog.signed { [0x7f, 0x80] } else { [0xff, 0] });
                let [lower, low, lowest, upper, high, highest] = analog.thresholds.map(Option::unwrap_or_default);
                record.extend([highest, high, upper, lowest, low, lower, 0, 0, 0, 0, 0]);
            }
        }
        record.push(0xc0 | u8::try_from(self.name.len()).unwrap_or_default());
        record.extend(self.name.as_bytes());
        // The length that follows the kind.
        record[1] = u8::try_from(record.len() - 2).unwrap_or_default();
        record
    }
}

/// Record types.
const FULL: u8 = 0x01;
const COMPACT: u8 = 0x02;

/// A number of ten bits in two bytes: the lower eight, then the upper two in front of what is not used here.
fn ten_bits(number: i16) -> [u8; 2] {
    let [low, high] = number.to_le_bytes();
    [low, high << 6]
}

fn bits(are_set: [bool; 6]) -> u8 {
    (0..).zip(are_set).fold(0, |bits, (index, is_set)| bits | u8::from(is_set) << index)
}

fn find(bmc: &Bmc, number: u8) -> Result<&Sensor, Refusal> {
    bmc.sensors.iter().find(|sensor| sensor.number == number).ok_or(NOT_PRESENT)
}

/// Get Sensor Reading.
pub(super) fn reading(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let [number] = exactly(asked)?;
    let sensor = find(bmc, *number)?;
    if sensor.needs_power && bmc.machine.power() == Power::Off {
        // Scanning is on; there is no reading.
        return done(vec![0, 0xe0, 0xc0]);
    }
    match sensor.nature {
        Nature::Analog(_) => done(vec![sensor.reading, 0xc0, 0xc0 | sensor.beyond()]),
        Nature::Discrete => done(vec![0, 0xc0, sensor.reading, 0x80]),
    }
}

/// Get Sensor Thresholds.
pub(super) fn thresholds(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let ([number] | [number, _]) = asked.data else { return Err(INVALID_LENGTH) };
    let sensor = find(bmc, *number)?;
    done([&[sensor.mask()][..], &sensor.thresholds().map(Option::unwrap_or_default)].concat())
}
