//! Sensors: Get Sensor Reading (§35.14), Get Sensor Reading Factors (§35.5), Get Sensor Thresholds (§35.9), and readings as
//! values with a unit (§36.3).

use super::events::{self, Severity};
use super::sdr::{Conversion, Factors, Record, SensorRecord};
use super::{Command, sdr};
use crate::client::Client;
use crate::error::Error;
use crate::wire::{DecodeError, NetFn, Reader};

/// Linearizations from here on take their factors from the BMC, for each reading (§35.5).
const NON_LINEAR: u8 = 0x70;

/// Get Sensor Reading (§35.14).
#[derive(Clone, Copy, Debug)]
pub struct GetSensorReading {
    /// The sensor's number.
    pub sensor: u8,
    /// The LUN it is in.
    pub lun: u8,
}

/// The answer to [`GetSensorReading`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawReading {
    /// The reading, raw.
    pub value: u8,
    /// False while the sensor is being updated or what it is in is absent.
    pub available: bool,
    /// False where the BMC does not scan the sensor.
    pub scanning: bool,
    /// The states that hold: for thresholds bits 0–5, for the others bits 0–14.
    pub states: u16,
}

impl Command for GetSensorReading {
    type Output = RawReading;
    const NAME: &'static str = "Get Sensor Reading";
    const NETFN: NetFn = NetFn::SENSOR;
    const COMMAND: u8 = 0x2d;

    fn lun(&self) -> u8 {
        self.lun
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.sensor);
    }

    fn decode(&self, data: &[u8]) -> Result<RawReading, DecodeError> {
        let mut reader = Reader::new(Self::NAME, data);
        let [value, flags] = reader.array()?;
        let low = reader.u8().unwrap_or_default();
        let high = reader.u8().unwrap_or_default();
        Ok(RawReading {
            value,
            available: flags & 0x20 == 0,
            scanning: flags & 0x40 != 0,
            states: u16::from_le_bytes([low, high & 0x7f]),
        })
    }
}

/// Get Sensor Reading Factors (§35.5).
#[derive(Clone, Copy, Debug)]
pub struct GetSensorReadingFactors {
    /// The sensor's number.
    pub sensor: u8,
    /// The LUN it is in.
    pub lun: u8,
    /// The reading, raw.
    pub value: u8,
}

impl Command for GetSensorReadingFactors {
    type Output = Factors;
    const NAME: &'static str = "Get Sensor Reading Factors";
    const NETFN: NetFn = NetFn::SENSOR;
    const COMMAND: u8 = 0x23;

    fn lun(&self) -> u8 {
        self.lun
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend([self.sensor, self.value]);
    }

    fn decode(&self, data: &[u8]) -> Result<Factors, DecodeError> {
        let [_next, m, m_high, b, b_high, _accuracy, exponents] = Reader::new(Self::NAME, data).array()?;
        Ok(Factors::from_bytes([m, m_high, b, b_high, exponents]))
    }
}

/// Get Sensor Thresholds (§35.9): those in force, which may differ from those in the SDR.
#[derive(Clone, Copy, Debug)]
pub struct GetSensorThresholds {
    /// The sensor's number.
    pub sensor: u8,
    /// The LUN it is in.
    pub lun: u8,
}

impl Command for GetSensorThresholds {
    /// Which exist (bits as in [`Conversion::readable`]), and the raw thresholds in the same order.
    type Output = (u8, [u8; 6]);
    const NAME: &'static str = "Get Sensor Thresholds";
    const NETFN: NetFn = NetFn::SENSOR;
    const COMMAND: u8 = 0x27;

    fn lun(&self) -> u8 {
        self.lun
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.sensor);
    }

    fn decode(&self, data: &[u8]) -> Result<(u8, [u8; 6]), DecodeError> {
        let mut reader = Reader::new(Self::NAME, data);
        Ok((reader.u8()? & 0x3f, reader.array()?))
    }
}

/// A sensor as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensor {
    /// Its name.
    pub name: String,
    /// What it is about (Table 42-3).
    pub sensor_type: u8,
    /// Its value, if it has one and it can be read.
    pub value: Option<f64>,
    /// The value's unit; empty for none.
    pub unit: String,
    /// What it shows.
    pub health: Health,
    /// The discrete states that hold, in words.
    pub states: Vec<&'static str>,
    /// The thresholds of the SDR.
    pub thresholds: Thresholds,
}

/// How a sensor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// This well.
    Known(Severity),
    /// It cannot be read now, for instance because the machine is off, or because another controller owns it.
    NotReadable,
}

/// Thresholds, in the sensor's unit; `None`: there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Thresholds {
    /// Lower non-critical.
    pub lower_non_critical: Option<f64>,
    /// Lower critical.
    pub lower_critical: Option<f64>,
    /// Lower non-recoverable.
    pub lower_non_recoverable: Option<f64>,
    /// Upper non-critical.
    pub upper_non_critical: Option<f64>,
    /// Upper critical.
    pub upper_critical: Option<f64>,
    /// Upper non-recoverable.
    pub upper_non_recoverable: Option<f64>,
}

impl Factors {
    /// The value of a raw reading, not linearized.
    fn apply(self, x: f64) -> f64 {
        let power = |exponent: i8| 10f64.powi(exponent.into());
        (f64::from(self.m) * x + f64::from(self.b) * power(self.b_exponent)) * power(self.result_exponent)
    }
}

impl Conversion {
    /// The value of a raw reading; `None` where the function has none, such as 1/0.
    pub fn value(&self, raw: u8) -> Option<f64> {
        self.value_by(self.factors, raw)
    }

    fn value_by(&self, factors: Factors, raw: u8) -> Option<f64> {
        let x = match self.format {
            1 if raw & 0x80 != 0 => -f64::from(!raw),
            2 => f64::from(raw.cast_signed()),
            _ => f64::from(raw),
        };
        let y = factors.apply(x);
        let y = match self.linearization {
            0x01 => y.ln(),
            0x02 => y.log10(),
            0x03 => y.log2(),
            0x04 => y.exp(),
            0x05 => 10f64.powf(y),
            0x06 => y.exp2(),
            0x07 => y.recip(),
            0x08 => y.powi(2),
            0x09 => y.powi(3),
            0x0a => y.sqrt(),
            0x0b => y.cbrt(),
            _ => y,
        };
        y.is_finite().then_some(y)
    }

    fn thresholds(&self) -> Thresholds {
        let threshold = |at: usize| {
            let exists = self.readable & 1 << at != 0 && self.linearization < NON_LINEAR;
            exists.then(|| self.value(self.thresholds[at])).flatten()
        };
        Thresholds {
            lower_non_critical: threshold(0),
            lower_critical: threshold(1),
            lower_non_recoverable: threshold(2),
            upper_non_critical: threshold(3),
            upper_critical: threshold(4),
            upper_non_recoverable: threshold(5),
        }
    }
}

impl Sensor {
    /// A sensor from its record and its reading; `None`: it could not be read.
    pub fn new(record: &SensorRecord, reading: Option<RawReading>) -> Self {
        let reading = reading.filter(|reading| reading.available && reading.scanning);
        let is_threshold = record.event_type == events::THRESHOLD;
        let states: Vec<_> = match reading {
            Some(reading) if !is_threshold => discrete_states(record, reading.states).collect(),
            _ => Vec::new(),
        };
        let health = match reading {
            None => Health::NotReadable,
            Some(reading) if is_threshold => Health::Known(threshold_severity(reading.states)),
            Some(_) => Health::Known(states.iter().map(|state| state.1).max().unwrap_or(Severity::Ok)),
        };
        Self {
            name: record.name.clone(),
            sensor_type: record.sensor_type,
            value: reading.zip(record.conversion).and_then(|(reading, conversion)| conversion.value(reading.value)),
            unit: record.unit.clone(),
            health,
            states: states.into_iter().map(|state| state.0).collect(),
            thresholds: record.conversion.map(|conversion| conversion.thresholds()).unwrap_or_default(),
        }
    }
}

/// Bits 0–5 of the comparison status (§35.14): at or beyond lower non-critical, critical, non-recoverable, upper the same.
fn threshold_severity(states: u16) -> Severity {
    match states {
        states if states & 0b10_0100 != 0 => Severity::Failed,
        states if states & 0b01_0010 != 0 => Severity::Critical,
        states if states & 0b00_1001 != 0 => Severity::Warning,
        _ => Severity::Ok,
    }
}

fn discrete_states(record: &SensorRecord, states: u16) -> impl Iterator<Item = (&'static str, Severity)> {
    let (event_type, sensor_type) = (record.event_type, record.sensor_type);
    (0..15)
        .filter(move |offset| states & 1 << offset != 0)
        .filter_map(move |offset| events::state(event_type, sensor_type, offset))
}

impl Client {
    /// All sensors with their readings. Those of other controllers are there, but not read. Keep the records of
    /// [`Client::sdr`] and call [`Client::read_sensors`] to read them again at a fraction of the cost.
    pub async fn sensors(&self) -> Result<Vec<Sensor>, Error> {
        let records = self.sdr().await?;
        self.read_sensors(&records).await
    }

    /// The sensors among these records, with their readings.
    pub async fn read_sensors(&self, records: &[sdr::Record]) -> Result<Vec<Sensor>, Error> {
        let mut sensors = Vec::new();
        for record in records {
            if let Record::Sensor(record) = record {
                sensors.push(self.read_sensor(record).await?);
            }
        }
        Ok(sensors)
    }

    async fn read_sensor(&self, record: &SensorRecord) -> Result<Sensor, Error> {
        if !record.is_of_bmc() {
            return Ok(Sensor::new(record, None));
        }
        let (sensor, lun) = (record.number, record.lun);
        let reading = match self.run(&GetSensorReading { sensor, lun }).await {
            Ok(reading) => Some(reading),
            // A sensor that is not there, or not now.
            Err(Error::Completion { .. } | Error::Malformed { .. }) => None,
            Err(error) => return Err(error),
        };
        let mut result = Sensor::new(record, reading);
        if let (Some(conversion), Some(reading)) = (record.conversion, reading)
            && conversion.linearization >= NON_LINEAR
            && result.value.is_some()
        {
            let factors = self.run(&GetSensorReadingFactors { sensor, lun, value: reading.value }).await;
            result.value = factors.ok().and_then(|factors| conversion.value_by(factors, reading.value));
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversion(format: u8, linearization: u8, factors: Factors) -> Conversion {
        Conversion { format, linearization, factors, readable: 0x3f, thresholds: [0; 6] }
    }

    const ONE: Factors = Factors { m: 1, b: 0, b_exponent: 0, result_exponent: 0 };

    #[test]
    fn readings_become_values() {
        // (M·x + B·10^K1)·10^K2: (2·100 + 5·10)·0.1
        let factors = Factors { m: 2, b: 5, b_exponent: 1, result_exponent: -1 };
        assert_eq!(conversion(0, 0, factors).value(100), Some(25.0));
        assert_eq!(conversion(0, 0, ONE).value(0xff), Some(255.0));
        assert_eq!(conversion(1, 0, ONE).value(0xfe), Some(-1.0));
        assert_eq!(conversion(2, 0, ONE).value(0xfe), Some(-2.0));
        assert_eq!(conversion(0, 0x07, ONE).value(4), Some(0.25));
        assert_eq!(conversion(0, 0x07, ONE).value(0), None);
        assert_eq!(conversion(0, 0x08, ONE).value(3), Some(9.0));
        assert_eq!(conversion(0, 0x0a, ONE).value(49), Some(7.0));
    }

    #[test]
    fn the_worst_threshold_counts() {
        assert_eq!(threshold_severity(0), Severity::Ok);
        assert_eq!(threshold_severity(0b00_1000), Severity::Warning);
        assert_eq!(threshold_severity(0b01_1000), Severity::Critical);
        assert_eq!(threshold_severity(0b11_1000), Severity::Failed);
        assert_eq!(threshold_severity(0b00_0111), Severity::Failed);
    }

    #[test]
    fn discrete_states_in_words() {
        let record = SensorRecord {
            owner: 0x20,
            lun: 0,
            number: 1,
            entity: 10,
            instance: 1,
            sensor_type: 0x08,
            event_type: events::SENSOR_SPECIFIC,
            unit: String::new(),
            conversion: None,
            name: "PSU1".into(),
        };
        let reading = RawReading { value: 0, available: true, scanning: true, states: 0b1001 };
        let sensor = Sensor::new(&record, Some(reading));
        assert_eq!(sensor.states, ["present", "input lost"]);
        assert_eq!(sensor.health, Health::Known(Severity::Critical));
        let unread = Sensor::new(&record, Some(RawReading { available: false, ..reading }));
        assert_eq!((unread.health, unread.states), (Health::NotReadable, Vec::new()));
    }
}
