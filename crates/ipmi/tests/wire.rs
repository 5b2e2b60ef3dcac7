//! The codec: what is encoded reads back the same, and any bytes are read without a panic.

#![allow(clippy::unwrap_used, clippy::panic)] // These are tests, helpers too.

use proptest::prelude::*;
use slipway_ipmi::wire::{
    Algorithms, CompletionCode, Datagram, NetFn, OpenSessionAccepted, OpenSessionRequest, OpenSessionResponse, Payload,
    PayloadType, Privilege, Rakp1, Rakp2, Rakp2Accepted, Rakp3, Rakp4, RakpStatus, RequestMessage, ResponseMessage,
    Role, V15,
};

/// Encodes with the one function and reads back with the other.
macro_rules! assert_round_trip {
    ($message:expr, $decode:path) => {{
        let message = $message;
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        prop_assert_eq!($decode(&bytes), Ok(message));
    }};
}

fn privilege() -> impl Strategy<Value = Option<Privilege>> {
    (0..=5u8).prop_map(Privilege::from_number)
}

fn algorithms() -> impl Strategy<Value = Algorithms> {
    (0..64u8, 0..64u8, 0..64u8).prop_map(|(authentication, integrity, confidentiality)| Algorithms {
        authentication,
        integrity,
        confidentiality,
    })
}

fn refusal() -> impl Strategy<Value = RakpStatus> {
    (1..=255u8).prop_map(RakpStatus)
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..=most)
}

fn netfn() -> impl Strategy<Value = NetFn> {
    (0..64u8).prop_filter_map("a request has an even one", NetFn::new)
}

proptest! {
    #[test]
    fn requests(addresses in any::<[u8; 2]>(), luns in (0..4u8, 0..4u8), sequence in 0..64u8, netfn in netfn(), command: u8, data in bytes(300)) {
        assert_round_trip!(RequestMessage {
            responder: addresses[0], responder_lun: luns.0, requester: addresses[1], requester_lun: luns.1,
            sequence, netfn, command, data: &data,
        }, RequestMessage::decode);
    }

    #[test]
    fn responses(addresses in any::<[u8; 2]>(), luns in (0..4u8, 0..4u8), sequence in 0..64u8, netfn in netfn(), command: u8, code: u8, data in bytes(300)) {
        assert_round_trip!(ResponseMessage {
            requester: addresses[0], requester_lun: luns.0, responder: addresses[1], responder_lun: luns.1,
            sequence, netfn, command, completion: CompletionCode(code), data: &data,
        }, ResponseMessage::decode);
    }

    #[test]
    fn open_session(tag: u8, max_privilege in privilege(), console_session: u32, bmc_session: u32, algorithms in algorithms(), refusal in refusal()) {
        assert_round_trip!(OpenSessionRequest { tag, max_privilege, console_session, algorithms }, OpenSessionRequest::decode);
        let accepted = OpenSessionAccepted { max_privilege, bmc_session, algorithms };
        assert_round_trip!(OpenSessionResponse { tag, console_session, result: Ok(accepted) }, OpenSessionResponse::decode);
        assert_round_trip!(OpenSessionResponse { tag, console_session, result: Err(refusal) }, OpenSessionResponse::decode);
    }

    #[test]
    fn rakp(tag: u8, session: u32, random: [u8; 16], guid: [u8; 16], privilege in privilege(), name_only: bool, username in bytes(16), code in bytes(40), refusal in refusal()) {
        let role = Role { privilege, name_only };
        assert_round_trip!(Rakp1 { tag, bmc_session: session, console_random: random, role, username: &username }, Rakp1::decode);
        let accepted = Rakp2Accepted { bmc_random: random, bmc_guid: guid, key_exchange_code: &code };
        assert_round_trip!(Rakp2 { tag, console_session: session, result: Ok(accepted) }, Rakp2::decode);
        assert_round_trip!(Rakp2 { tag, console_session: session, result: Err(refusal) }, Rakp2::decode);
        for result in [Ok(&code[..]), Err(refusal)] {
            assert_round_trip!(Rakp3 { tag, bmc_session: session, result }, Rakp3::decode);
            assert_round_trip!(Rakp4 { tag, console_session: session, result }, Rakp4::decode);
        }
    }

    #[test]
    fn datagrams(session: u32, sequence: u32, number in 0..64u8, data in bytes(1000)) {
        if let Some(kind) = PayloadType::from_number(number) {
            let payload = Payload { kind, session, sequence, data: &data };
            let mut encoded = Vec::new();
            payload.encode(&mut encoded);
            prop_assert_eq!(Datagram::decode(&encoded), Ok(Datagram::Plain(payload)));
        }
        for (auth_type, auth_code) in [(0, None), (2, Some([7; 16]))] {
            let packet = V15 { auth_type, sequence, session, auth_code, message: &data[..data.len().min(255)] };
            let mut encoded = Vec::new();
            packet.encode(&mut encoded);
            prop_assert_eq!(Datagram::decode(&encoded), Ok(Datagram::V15(packet)));
        }
    }

    #[test]
    fn one_flipped_bit_is_seen_in_a_message(netfn in netfn(), data in bytes(40), at: prop::sample::Index, bit in 0..8u8) {
        let request = RequestMessage {
            responder: 0x20, responder_lun: 0, requester: 0x81, requester_lun: 0, sequence: 1, netfn, command: 1, data: &data,
        };
        let mut encoded = Vec::new();
        request.encode(&mut encoded);
        let at = at.index(encoded.len());
        encoded[at] ^= 1 << bit;
        prop_assert!(RequestMessage::decode(&encoded).is_err());
    }
}

/// Get Channel Authentication Capabilities as `ipmitool -I lanplus` sends it first.
#[test]
fn a_known_request() {
    let datagram = [
        0x06, 0x00, 0xff, 0x07, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0x09, 0x20, 0x18, 0xc8, 0x81, 0x00, 0x38, 0x8e, 0x04,
        0xb5,
    ];
    let Datagram::V15(packet) = Datagram::decode(&datagram).unwrap() else { panic!("not an IPMI 1.5 packet") };
    let request = RequestMessage::decode(packet.message).unwrap();
    assert_eq!((request.netfn, request.command, request.data), (NetFn::APP, 0x38, &[0x8e, 0x04][..]));

    let mut message = Vec::new();
    request.encode(&mut message);
    let mut again = Vec::new();
    V15::outside_session(&message).encode(&mut again);
    assert_eq!(again, datagram);
}

#[test]
fn what_is_not_ipmi_is_refused() {
    for bytes in [
        &[][..],
        &[0x06, 0x00, 0xff],
        // ASF presence pong.
        &[0x06, 0x00, 0xff, 0x06, 0x00, 0x00, 0x11, 0xbe, 0x40, 0x00, 0x00, 0x10],
        // Payload length beyond the end.
        &[0x06, 0x00, 0xff, 0x07, 0x06, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0x00],
    ] {
        assert!(Datagram::decode(bytes).is_err(), "{bytes:02x?}");
    }
}

#[test]
fn a_refusal_may_end_after_its_status() {
    // As `ipmi_sim` of OpenIPMI 2.0.33 answers a proposal of suite 17.
    let refusal = OpenSessionResponse::decode(&[1, 4]).unwrap();
    assert_eq!((refusal.tag, refusal.console_session), (1, 0));
    assert_eq!(refusal.result, Err(RakpStatus::INVALID_AUTHENTICATION_ALGORITHM));
    assert_eq!(Rakp2::decode(&[2, 0x0d]).unwrap().result, Err(RakpStatus::UNAUTHORIZED_NAME));
    assert_eq!(Rakp4::decode(&[3, 0x0f]).unwrap().result, Err(RakpStatus::INVALID_INTEGRITY_CHECK_VALUE));
    assert!(OpenSessionResponse::decode(&[1, 0]).is_err() && Rakp2::decode(&[2, 0]).is_err());
}
