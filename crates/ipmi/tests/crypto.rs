//! The keyed part, recomputed with a plain HMAC from another library.

#![allow(clippy::unwrap_used, clippy::panic)] // These are tests, helpers too.

use aws_lc_rs::hmac;
use proptest::prelude::*;
use slipway_ipmi::crypto::{KeyExchange, OpenError};
use slipway_ipmi::wire::{Datagram, PayloadType, Privilege, Protected, Role};
use slipway_ipmi::{CipherSuite, Kg, Password, Username};

fn exchange(suite: CipherSuite, username: &str) -> KeyExchange {
    KeyExchange {
        suite,
        console_session: 0xa4a3_a2a1,
        bmc_session: 0x0402_0301,
        console_random: *b"console's random",
        bmc_random: *b"the bmc's random",
        bmc_guid: *b"the guid of it..",
        role: Role { privilege: Some(Privilege::Administrator), name_only: true },
        username: Username::new(username).unwrap(),
    }
}

fn plain_hmac(suite: CipherSuite, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let algorithm = match suite {
        CipherSuite::Suite3 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        CipherSuite::Suite17 => hmac::HMAC_SHA256,
    };
    hmac::sign(&hmac::Key::new(algorithm, key), &parts.concat()).as_ref().to_vec()
}

#[test]
fn the_codes_are_the_specifications() {
    for suite in [CipherSuite::Suite3, CipherSuite::Suite17] {
        for (username, kg) in [("admin", None), ("", None), ("sixteen-bytes-ab", Some([9; 20]))] {
            let exchange = exchange(suite, username);
            let password = Password::new("a secret of 20 bytes").unwrap();
            let user: &[u8] = &[&[0x14, u8::try_from(username.len()).unwrap()], username.as_bytes()].concat();
            let (sid_m, sid_c) = ([0xa1, 0xa2, 0xa3, 0xa4], [0x01, 0x03, 0x02, 0x04]);
            let (r_m, r_c, guid) = (b"console's random", b"the bmc's random", b"the guid of it..");

            let rakp2 = plain_hmac(suite, b"a secret of 20 bytes", &[&sid_m, &sid_c, r_m, r_c, guid, user]);
            assert_eq!(exchange.rakp2_code(&password).as_bytes(), rakp2);
            assert!(exchange.verify_rakp2(&password, &rakp2));
            let rakp3 = plain_hmac(suite, b"a secret of 20 bytes", &[r_c, &sid_m, user]);
            assert_eq!(exchange.rakp3_code(&password).as_bytes(), rakp3);
            assert!(exchange.verify_rakp3(&password, &rakp3));

            let key = kg.as_ref().map_or(&b"a secret of 20 bytes"[..], |kg| &kg[..]);
            let sik = plain_hmac(suite, key, &[r_m, r_c, user]);
            let rakp4 = plain_hmac(suite, &sik, &[r_m, &sid_c, guid]);
            let keys = exchange.session_keys(&password, kg.map(|kg| Kg::new(kg).unwrap()).as_ref());
            let length = suite.integrity_length();
            assert_eq!(keys.rakp4_code(&exchange).as_bytes(), &rakp4[..length]);
            assert!(keys.verify_rakp4(&exchange, &rakp4[..length]));
            assert!(!keys.verify_rakp4(&exchange, &rakp4[..length - 1]), "a shorter code is not a code");
            assert!(!keys.verify_rakp4(&exchange, &[]));

            // A packet's code is over everything from the session header to "next header", by K1.
            let mut packet = Vec::new();
            keys.seal(PayloadType::Ipmi, 1, 2, [3; 16], b"power", &mut packet);
            let (covered, code) = packet[4..].split_at(packet.len() - 4 - length);
            let k1 = plain_hmac(suite, &sik, &[&[1; 20]]);
            assert_eq!(&plain_hmac(suite, &k1, &[covered])[..length], code);
        }
    }
}

#[test]
fn another_password_or_another_kg_is_seen() {
    for suite in [CipherSuite::Suite3, CipherSuite::Suite17] {
        let exchange = exchange(suite, "admin");
        let (right, wrong) = (Password::new("right").unwrap(), Password::new("wrong").unwrap());
        assert!(!exchange.verify_rakp2(&wrong, exchange.rakp2_code(&right).as_bytes()));
        assert!(!exchange.verify_rakp3(&wrong, exchange.rakp3_code(&right).as_bytes()));
        let with_kg = exchange.session_keys(&right, Some(&Kg::new("kg").unwrap()));
        let without = exchange.session_keys(&right, None);
        assert!(!with_kg.verify_rakp4(&exchange, without.rakp4_code(&exchange).as_bytes()));
        let zeros = exchange.session_keys(&right, Some(&Kg::new([0; 20]).unwrap()));
        assert!(without.verify_rakp4(&exchange, zeros.rakp4_code(&exchange).as_bytes()), "a K_g of zeros is none");
    }
}

fn protected(bytes: &[u8]) -> Option<Protected<'_>> {
    match Datagram::decode(bytes) {
        Ok(Datagram::Protected(packet)) => Some(packet),
        _ => None,
    }
}

proptest! {
    #[test]
    fn what_is_sealed_opens(session: u32, sequence: u32, iv: [u8; 16], data in proptest::collection::vec(any::<u8>(), 0..300), new: bool) {
        let suite = if new { CipherSuite::Suite17 } else { CipherSuite::Suite3 };
        let keys = exchange(suite, "admin").session_keys(&Password::new("p").unwrap(), None);
        let mut bytes = Vec::new();
        keys.seal(PayloadType::Ipmi, session, sequence, iv, &data, &mut bytes);
        let packet = protected(&bytes).unwrap();
        prop_assert_eq!((packet.session, packet.sequence, packet.kind), (session, sequence, PayloadType::Ipmi));
        let mut opened = vec![1, 2, 3];
        prop_assert_eq!(keys.open(&packet, &mut opened), Ok(()));
        prop_assert_eq!(opened, data);
    }

    #[test]
    fn one_flipped_bit_is_seen_in_a_packet(at: prop::sample::Index, bit in 0..8u8, new: bool) {
        let suite = if new { CipherSuite::Suite17 } else { CipherSuite::Suite3 };
        let keys = exchange(suite, "admin").session_keys(&Password::new("p").unwrap(), None);
        let mut bytes = Vec::new();
        keys.seal(PayloadType::Ipmi, 1, 2, [3; 16], b"power", &mut bytes);
        // The RMCP header is not authenticated.
        let at = 4 + at.index(bytes.len() - 4);
        bytes[at] ^= 1 << bit;
        if let Some(packet) = protected(&bytes) {
            let refused = keys.open(&packet, &mut Vec::new());
            prop_assert!(matches!(refused, Err(OpenError::Forged | OpenError::Unprotected)), "{:?}", refused);
        }
    }
}
