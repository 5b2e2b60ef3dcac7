//! Sessions that `ipmitool` had with a BMC, recomputed with a plain HMAC from another library and with this crate.

#![allow(clippy::unwrap_used, clippy::panic)] // These are tests, helpers too.

use std::path::PathBuf;

use aws_lc_rs::hmac;
use serde::Deserialize;
use slipway_ipmi::crypto::{KeyExchange, SessionKeys};
use slipway_ipmi::wire::{
    Datagram, NetFn, OpenSessionRequest, PayloadType, Privilege, Rakp1, Rakp3, RequestMessage, ResponseMessage, Role,
};
use slipway_ipmi::{CipherSuite, Kg, Password, Username};

/// What is in a file of `vectors/`. Bytes are in hexadecimal digits.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Recorded {
    #[serde(rename = "source")]
    _source: String,
    suite: u8,
    username: String,
    password: String,
    kg: Option<String>,
    role: u8,
    console_session: u32,
    bmc_session: u32,
    console_random: String,
    bmc_random: String,
    guid: String,
    rakp2_code: String,
    rakp3_code: String,
    rakp4_code: String,
    datagrams: Vec<Sent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    from: String,
    bytes: String,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn array<const N: usize>(hex: &str) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}

fn all() -> Vec<Recorded> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let recorded: Vec<_> =
        files.map(|file| serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()).collect();
    assert_eq!(recorded.len(), 4, "both suites, with K_g and without");
    recorded
}

impl Recorded {
    fn suite(&self) -> CipherSuite {
        CipherSuite::from_id(self.suite).unwrap()
    }

    fn plain_hmac(&self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let algorithm = match self.suite() {
            CipherSuite::Suite3 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            CipherSuite::Suite17 => hmac::HMAC_SHA256,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), &parts.concat()).as_ref().to_vec()
    }

    /// What a code of integrity is cut to.
    fn cut(&self, code: &[u8]) -> Vec<u8> {
        code[..if self.suite == 3 { 12 } else { 16 }].to_vec()
    }

    fn exchange(&self) -> KeyExchange {
        assert_eq!(self.role, 0x14, "administrator, by name alone");
        KeyExchange {
            suite: self.suite(),
            console_session: self.console_session,
            bmc_session: self.bmc_session,
            console_random: array(&self.console_random),
            bmc_random: array(&self.bmc_random),
            bmc_guid: array(&self.guid),
            role: Role { privilege: Some(Privilege::Administrator), name_only: true },
            username: Username::new(&self.username).unwrap(),
        }
    }

    fn keys(&self) -> SessionKeys {
        let kg = self.kg.as_ref().map(|kg| Kg::new(bytes(kg)).unwrap());
        self.exchange().session_keys(&Password::new(&self.password).unwrap(), kg.as_ref())
    }

    /// The session's key, by the plain HMAC.
    fn sik(&self) -> Vec<u8> {
        let key = self.kg.as_ref().map_or_else(|| self.password.clone().into_bytes(), |kg| bytes(kg));
        self.plain_hmac(&key, &[&bytes(&self.console_random), &bytes(&self.bmc_random), &self.user()])
    }

    /// Role, length of the name, name.
    fn user(&self) -> Vec<u8> {
        [&[self.role, u8::try_from(self.username.len()).unwrap()], self.username.as_bytes()].concat()
    }
}

#[test]
fn the_codes_are_those_of_a_plain_hmac() {
    for recorded in all() {
        let (console, bmc) = (recorded.console_session.to_le_bytes(), recorded.bmc_session.to_le_bytes());
        let (r_m, r_c, guid) = (bytes(&recorded.console_random), bytes(&recorded.bmc_random), bytes(&recorded.guid));
        let user = recorded.user();
        let key = recorded.password.as_bytes();
        let rakp2 = recorded.plain_hmac(key, &[&console, &bmc, &r_m, &r_c, &guid, &user]);
        assert_eq!(rakp2, bytes(&recorded.rakp2_code));
        let rakp3 = recorded.plain_hmac(key, &[&r_c, &console, &user]);
        assert_eq!(rakp3, bytes(&recorded.rakp3_code));
        let rakp4 = recorded.cut(&recorded.plain_hmac(&recorded.sik(), &[&r_m, &bmc, &guid]));
        assert_eq!(rakp4, bytes(&recorded.rakp4_code));

        let (exchange, password) = (recorded.exchange(), Password::new(&recorded.password).unwrap());
        assert_eq!(exchange.rakp2_code(&password).as_bytes(), rakp2);
        assert_eq!(exchange.rakp3_code(&password).as_bytes(), rakp3);
        assert_eq!(recorded.keys().rakp4_code(&exchange).as_bytes(), rakp4);
    }
}

/// What ipmitool itself sent: these bytes are of nobody else's making.
#[test]
fn ipmitool_s_datagrams_are_read() {
    for recorded in all() {
        let mut steps = Vec::new();
        for sent in recorded.datagrams.iter().filter(|sent| sent.from == "console") {
            let datagram = bytes(&sent.bytes);
            match Datagram::decode(&datagram) {
                Ok(Datagram::Plain(payload)) => {
                    steps.push(payload.kind);
                    match payload.kind {
                        PayloadType::OpenSessionRequest => {
                            let request = OpenSessionRequest::decode(payload.data).unwrap();
                            assert_eq!(request.console_session, recorded.console_session);
                            assert_eq!(request.algorithms, recorded.suite().algorithms());
                        }
                        PayloadType::Rakp1 => {
                            let rakp1 = Rakp1::decode(payload.data).unwrap();
                            assert_eq!(rakp1.username, recorded.username.as_bytes());
                            assert_eq!(rakp1.console_random.to_vec(), bytes(&recorded.console_random));
                        }
                        PayloadType::Rakp3 => {
                            let rakp3 = Rakp3::decode(payload.data).unwrap();
                            assert_eq!(rakp3.result, Ok(&bytes(&recorded.rakp3_code)[..]));
                        }
                        kind => panic!("{kind:?}"),
                    }
                }
                // Get Channel Authentication Capabilities, before there is a session.
                Ok(Datagram::V15(packet)) => assert_eq!(RequestMessage::decode(packet.message).unwrap().command, 0x38),
                Ok(Datagram::Protected(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(steps, [PayloadType::OpenSessionRequest, PayloadType::Rakp1, PayloadType::Rakp3]);
    }
}

#[test]
fn the_packets_of_the_session_open() {
    for recorded in all() {
        let (keys, mut clear) = (recorded.keys(), Vec::new());
        let mut commands = Vec::new();
        for sent in &recorded.datagrams {
            let datagram = bytes(&sent.bytes);
            let Ok(Datagram::Protected(packet)) = Datagram::decode(&datagram) else { continue };
            assert_eq!(keys.open(&packet, &mut clear), Ok(()));
            // The code is over all but the header of RMCP and itself, by K1.
            let (covered, code) = datagram[4..].split_at(datagram.len() - 4 - recorded.suite().integrity_length());
            let k1 = recorded.plain_hmac(&recorded.sik(), &[&[1; 20]]);
            assert_eq!(recorded.cut(&recorded.plain_hmac(&k1, &[covered])), code);
            if sent.from == "console" {
                let request = RequestMessage::decode(&clear).unwrap();
                commands.push((request.netfn, request.command));
            } else {
                ResponseMessage::decode(&clear).unwrap();
            }
        }
        // Set Session Privilege Level first, Close Session last, Get Chassis Status before.
        assert_eq!(commands.first(), Some(&(NetFn::APP, 0x3b)));
        assert_eq!(commands.last(), Some(&(NetFn::APP, 0x3c)));
        assert!(commands.contains(&(NetFn::CHASSIS, 0x01)), "{commands:?}");
    }
}
