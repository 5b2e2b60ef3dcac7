//! What is fuzzed: functions that take any bytes, and fail only by a panic, or by what must hold of every input.
//! `corpus.rs` runs them over the files in `corpus/` and over mutations of these; the crate `fuzz/` gives them to libFuzzer.

pub mod session;

use slipway_ipmi::commands::Command;
use slipway_ipmi::commands::app::{GetDeviceGuid, GetDeviceId, GetSystemGuid};
use slipway_ipmi::commands::boot::{BootFlags, GetBootOption};
use slipway_ipmi::commands::channel::{GetChannelAuthenticationCapabilities, GetChannelCipherSuites, suite_ids};
use slipway_ipmi::commands::chassis::{GetChassisStatus, GetSystemRestartCause};
use slipway_ipmi::commands::fru::{FruInventory, GetFruAreaInfo, ReadFruData};
use slipway_ipmi::commands::lan::GetLanParameter;
use slipway_ipmi::commands::sdr::{GetSdr, GetSdrRepositoryInfo, Record};
use slipway_ipmi::commands::sel::{ClearSel, GetSelEntry, GetSelInfo, ReserveSel, SelEntry};
use slipway_ipmi::commands::sensor::{GetSensorReading, GetSensorReadingFactors, GetSensorThresholds, Sensor};
use slipway_ipmi::commands::text::{self, Encoding};
use slipway_ipmi::commands::user::{GetUserAccess, GetUserName};
use slipway_ipmi::crypto::KeyExchange;
use slipway_ipmi::wire::{
    Datagram, OpenSessionRequest, OpenSessionResponse, Rakp1, Rakp2, Rakp3, Rakp4, RequestMessage, ResponseMessage,
    Role,
};
use slipway_ipmi::{CipherSuite, Password, Privilege, Username};

/// A target by the name of its corpus.
type Named = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Named] = &[
    ("datagram", datagram),
    ("payload", payload),
    ("answer", answer),
    ("record", record),
    ("session", session::set_up),
    ("command", session::command),
];

/// A whole datagram, and what is in it.
pub fn datagram(data: &[u8]) {
    match Datagram::decode(data) {
        Ok(Datagram::V15(packet)) => payload(packet.message),
        Ok(Datagram::Plain(plain)) => payload(plain.data),
        Ok(Datagram::Protected(packet)) => {
            for suite in [CipherSuite::Suite3, CipherSuite::Suite17] {
                let exchange = KeyExchange {
                    suite,
                    console_session: 1,
                    bmc_session: 2,
                    console_random: [3; 16],
                    bmc_random: [4; 16],
                    bmc_guid: [5; 16],
                    role: Role { privilege: Some(Privilege::User), name_only: true },
                    username: Username::new("fuzz").unwrap(),
                };
                let keys = exchange.session_keys(&Password::new("fuzz").unwrap(), None);
                let _ = keys.open(&packet, &mut Vec::new());
            }
        }
        Err(_) => {}
    }
}

/// Each payload of the session set-up, and IPMI messages.
pub fn payload(data: &[u8]) {
    let _ = RequestMessage::decode(data);
    let _ = ResponseMessage::decode(data);
    let _ = OpenSessionRequest::decode(data);
    let _ = OpenSessionResponse::decode(data);
    let _ = Rakp1::decode(data);
    let _ = Rakp2::decode(data);
    let _ = Rakp3::decode(data);
    let _ = Rakp4::decode(data);
}

/// The answer to each command.
pub fn answer(data: &[u8]) {
    let _ = GetDeviceId.decode(data).map(|id| id.firmware());
    let _ = GetDeviceGuid.decode(data).map(|guid| guid.to_string());
    let _ = GetSystemGuid.decode(data);
    let _ = GetChannelAuthenticationCapabilities { privilege: Privilege::User }.decode(data);
    let _ = GetChannelCipherSuites { index: 0 }.decode(data);
    let _ = GetChassisStatus.decode(data);
    let _ = GetSystemRestartCause.decode(data).map(|cause| cause.to_string());
    let _ = GetBootOption { parameter: 5 }.decode(data);
    let _ = GetFruAreaInfo { fru: 0 }.decode(data);
    let _ = ReadFruData { fru: 0, offset: 0, count: 8 }.decode(data);
    let _ = GetLanParameter { parameter: 3, set: 0 }.decode(data);
    let _ = GetSdrRepositoryInfo.decode(data);
    let _ = GetSdr { reservation: 0, id: 0, offset: 0, count: 255 }.decode(data);
    let _ = GetSelInfo.decode(data);
    let _ = ReserveSel.decode(data);
    let _ = GetSelEntry { id: 0 }.decode(data);
    let _ = ClearSel { reservation: 0, begin: false }.decode(data);
    let _ = GetSensorReadingFactors { sensor: 0, lun: 0, value: 0 }.decode(data);
    let _ = GetSensorThresholds { sensor: 0, lun: 0 }.decode(data);
    let _ = GetUserAccess { user: 1 }.decode(data);
    let _ = GetUserName { user: 1 }.decode(data);
}

/// What is in a BMC's stores: sensor records with a reading, FRU inventories, events, strings.
pub fn record(data: &[u8]) {
    if let Ok(Record::Sensor(sensor)) = Record::decode(data) {
        let reading = GetSensorReading { sensor: 0, lun: 0 }.decode(data).ok();
        let _ = Sensor::new(&sensor, reading);
    }
    let _ = FruInventory::decode(data);
    let _ = BootFlags::from_bytes(data);
    let _ = suite_ids(data);
    if let Some(bytes) = data.first_chunk() {
        let _ = SelEntry::from_bytes(*bytes).event.map(|event| event.state());
    }
    for encoding in [Encoding::Binary, Encoding::BcdPlus, Encoding::SixBit, Encoding::Latin1, Encoding::Ucs2] {
        let _ = text::decode(encoding, data);
    }
}
