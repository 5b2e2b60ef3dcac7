//! The keyed part of RAKP and of packets in a session (IPMI 2.0 §13.28–§13.33), for both sides.
//!
//! A [`KeyExchange`] is what both sides know after RAKP 1 and 2. From it come the proofs in RAKP 2 and 3 and, with the
//! keys, the [`SessionKeys`], which verify RAKP 4 and then [`seal`](SessionKeys::seal) and [`open`](SessionKeys::open)
//! packets. All comparisons take constant time.

use std::fmt;

use aes::Aes128;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit as _};
use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use sha2::Sha256;
use thiserror::Error;

use crate::credentials::{Kg, Password, Username};
use crate::wire::{self, CipherSuite, PayloadType, Protected, Role};

const BLOCK: usize = 16;
/// The constants that K1 and K2 are derived from have the length of a SHA-1 digest in every suite: the specification
/// says so for HMAC-SHA1 (§13.32), and BMCs and clients in the field do the same with HMAC-SHA256.
const CONSTANT_LENGTH: usize = 20;

/// Why a packet in a session cannot be read. It proves nothing about the BMC: anybody can send a datagram.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum OpenError {
    /// It is not both encrypted and authenticated, as each packet of such a session must be.
    #[error("the packet is not encrypted and authenticated")]
    Unprotected,
    /// The authentication code is not the one that the session's key makes.
    #[error("wrong authentication code")]
    Forged,
    /// It is authentic, but its cipher text is not whole blocks, or its padding is impossible.
    #[error("malformed cipher text")]
    Malformed,
}

/// An authentication code: an HMAC, perhaps truncated.
#[derive(Clone, Copy)]
pub struct Code {
    bytes: [u8; 32],
    length: usize,
}

impl Code {
    /// Its bytes, as they are sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn truncated(self, length: usize) -> Self {
        Self { length: length.min(self.length), ..self }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

/// The HMAC of a suite.
#[derive(Clone)]
enum Authenticator {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
}

impl Authenticator {
    fn new(suite: CipherSuite, key: &[u8]) -> Self {
        // HMAC pads a key with zeros to the block of its hash, so the 20 bytes need not be filled up.
        let mut block = [0; 64];
        block[..key.len().min(64)].copy_from_slice(&key[..key.len().min(64)]);
        match suite {
            CipherSuite::Suite3 => Self::Sha1(Hmac::new(&block.into())),
            CipherSuite::Suite17 => Self::Sha256(Hmac::new(&block.into())),
        }
    }

    fn over(&self, parts: &[&[u8]]) -> Self {
        let mut this = self.clone();
        for part in parts {
            match &mut this {
                Self::Sha1(hmac) => hmac.update(part),
                Self::Sha256(hmac) => hmac.update(part),
            }
        }
        this
    }

    fn code(&self, parts: &[&[u8]]) -> Code {
        let mut bytes = [0; 32];
        let length = match self.over(parts) {
            Self::Sha1(hmac) => {
                bytes[..20].copy_from_slice(&hmac.finalize().into_bytes());
                20
            }
            Self::Sha256(hmac) => {
                bytes.copy_from_slice(&hmac.finalize().into_bytes());
                32
            }
        };
        Code { bytes, length }
    }

    /// Constant in time; a code of another length is wrong.
    fn verify(&self, parts: &[&[u8]], length: usize, code: &[u8]) -> bool {
        code.len() == length
            && match self.over(parts) {
                Self::Sha1(hmac) => hmac.verify_truncated_left(code).is_ok(),
                Self::Sha256(hmac) => hmac.verify_truncated_left(code).is_ok(),
            }
    }
}

/// What both sides know after RAKP 1 and 2.
#[derive(Clone, Debug)]
pub struct KeyExchange {
    /// The suite that Open Session settled.
    pub suite: CipherSuite,
    /// The console's session id.
    pub console_session: u32,
    /// The BMC's session id.
    pub bmc_session: u32,
    /// The console's random number.
    pub console_random: [u8; 16],
    /// The BMC's random number.
    pub bmc_random: [u8; 16],
    /// The BMC's GUID, as in RAKP 2.
    pub bmc_guid: [u8; 16],
    /// Privilege level and kind of look-up, as in RAKP 1.
    pub role: Role,
    /// The user's name, as in RAKP 1.
    pub username: Username,
}

impl KeyExchange {
    /// Role, length of the name, name: how RAKP 2, RAKP 3 and the session integrity key name the user.
    fn user(&self) -> ([u8; 2], &[u8]) {
        let name = self.username.as_bytes();
        // A `Username` has at most 16 bytes.
        ([self.role.byte(), u8::try_from(name.len()).unwrap_or(u8::MAX)], name)
    }

    /// The BMC's proof in RAKP 2 (§13.31): HMAC by `K_uid` over `SID_M`, `SID_C`, `R_M`, `R_C`, `GUID_C`, `Role_M`, `ULength_M`, `UName_M`.
    pub fn rakp2_code(&self, password: &Password) -> Code {
        self.rakp2_parts(|parts| Authenticator::new(self.suite, password.as_bytes()).code(parts))
    }

    /// Verifies the BMC's proof in RAKP 2.
    pub fn verify_rakp2(&self, password: &Password, code: &[u8]) -> bool {
        let length = self.suite.key_exchange_length();
        self.rakp2_parts(|parts| Authenticator::new(self.suite, password.as_bytes()).verify(parts, length, code))
    }

    fn rakp2_parts<T>(&self, then: impl FnOnce(&[&[u8]]) -> T) -> T {
        let (user, name) = self.user();
        then(&[
            &self.console_session.to_le_bytes(),
            &self.bmc_session.to_le_bytes(),
            &self.console_random,
            &self.bmc_random,
            &self.bmc_guid,
            &user,
            name,
        ])
    }

    /// The console's proof in RAKP 3 (§13.31): HMAC by `K_uid` over `R_C`, `SID_M`, `Role_M`, `ULength_M`, `UName_M`.
    pub fn rakp3_code(&self, password: &Password) -> Code {
        self.rakp3_parts(|parts| Authenticator::new(self.suite, password.as_bytes()).code(parts))
    }

    /// Verifies the console's proof in RAKP 3.
    pub fn verify_rakp3(&self, password: &Password, code: &[u8]) -> bool {
        let length = self.suite.key_exchange_length();
        self.rakp3_parts(|parts| Authenticator::new(self.suite, password.as_bytes()).verify(parts, length, code))
    }

    fn rakp3_parts<T>(&self, then: impl FnOnce(&[&[u8]]) -> T) -> T {
        let (user, name) = self.user();
        then(&[&self.bmc_random, &self.console_session.to_le_bytes(), &user, name])
    }

    /// The keys of the session (§13.31, §13.32): SIK = HMAC by `K_g`, or by `K_uid` where there is no `K_g`, over `R_M`, `R_C`,
    /// `Role_M`, `ULength_M`, `UName_M`; K1 and K2 are HMACs by SIK over the constants 1 and 2.
    pub fn session_keys(&self, password: &Password, kg: Option<&Kg>) -> SessionKeys {
        let key = kg.filter(|kg| !kg.is_null()).map_or(password.as_bytes(), Kg::as_bytes);
        let (user, name) = self.user();
        let sik = Authenticator::new(self.suite, key).code(&[&self.console_random, &self.bmc_random, &user, name]);
        let sik = Authenticator::new(self.suite, sik.as_bytes());
        let k1 = sik.code(&[&[1; CONSTANT_LENGTH]]);
        let k2 = sik.code(&[&[2; CONSTANT_LENGTH]]);
        // AES-CBC-128 takes the first 128 bits of K2 (§13.29).
        let mut aes_key = [0; BLOCK];
        aes_key.copy_from_slice(&k2.bytes[..BLOCK]);
        SessionKeys {
            suite: self.suite,
            sik,
            integrity: Authenticator::new(self.suite, k1.as_bytes()),
            confidentiality: Aes128::new(&aes_key.into()),
        }
    }
}

/// The keys of a session; the same for both directions.
#[derive(Clone)]
pub struct SessionKeys {
    suite: CipherSuite,
    sik: Authenticator,
    integrity: Authenticator,
    confidentiality: Aes128,
}

impl SessionKeys {
    /// The integrity check value in RAKP 4 (§13.31): HMAC by SIK over `R_M`, `SID_C`, `GUID_C`, truncated as the suite's
    /// integrity algorithm does.
    pub fn rakp4_code(&self, exchange: &KeyExchange) -> Code {
        let session = exchange.bmc_session.to_le_bytes();
        let code = self.sik.code(&[&exchange.console_random, &session, &exchange.bmc_guid]);
        code.truncated(self.suite.integrity_length())
    }

    /// Verifies the integrity check value in RAKP 4.
    pub fn verify_rakp4(&self, exchange: &KeyExchange, code: &[u8]) -> bool {
        let session = exchange.bmc_session.to_le_bytes();
        let parts: [&[u8]; 3] = [&exchange.console_random, &session, &exchange.bmc_guid];
        self.sik.verify(&parts, self.suite.integrity_length(), code)
    }

    /// Appends to `out` the whole datagram that carries `data`, encrypted and authenticated (§13.28, §13.29). `session`
    /// is the receiver's id, `iv` must be random and fresh.
    pub fn seal(&self, kind: PayloadType, session: u32, sequence: u32, iv: [u8; 16], data: &[u8], out: &mut Vec<u8>) {
        let padding = (BLOCK - (data.len() + 1) % BLOCK) % BLOCK;
        let length = data.len() + padding + 1;
        let start = out.len() + wire::RMCP_LENGTH;
        wire::encode_protected_headers(kind, session, sequence, BLOCK + length, out);
        out.extend(iv);
        let text = out.len();
        out.extend_from_slice(data);
        // The pad is 1, 2, 3, …, then its length (Table 13-20).
        out.extend((1..).take(padding));
        out.extend(u8::try_from(padding));
        let cipher = cbc::Encryptor::inner_iv_init(&self.confidentiality, &iv.into());
        // Cannot fail: the text is whole blocks.
        let _ = cipher.encrypt_padded::<NoPadding>(&mut out[text..], length);
        // What is authenticated is a multiple of 4 long, with the pad's length and "next header" (Table 13-8).
        let pad = (4 - (out.len() - start + 2) % 4) % 4;
        out.extend(std::iter::repeat_n(0xff, pad));
        out.extend(u8::try_from(pad));
        out.push(wire::NEXT_HEADER);
        let code = self.integrity.code(&[&out[start..]]).truncated(self.suite.integrity_length());
        out.extend_from_slice(code.as_bytes());
    }

    /// Verifies a packet and puts its payload, in clear, into `out`, whose old content is lost.
    pub fn open(&self, packet: &Protected<'_>, out: &mut Vec<u8>) -> Result<(), OpenError> {
        if !packet.encrypted || !packet.authenticated {
            return Err(OpenError::Unprotected);
        }
        let length = self.suite.integrity_length();
        let covered = packet.trailer.len().checked_sub(length).ok_or(OpenError::Forged)?;
        let (pad, code) = packet.trailer.split_at(covered);
        if !self.integrity.verify(&[packet.covered, pad], length, code) {
            return Err(OpenError::Forged);
        }
        let (iv, text) = packet.payload.split_first_chunk::<BLOCK>().ok_or(OpenError::Malformed)?;
        out.clear();
        out.extend_from_slice(text);
        let cipher = cbc::Decryptor::inner_iv_init(&self.confidentiality, &(*iv).into());
        cipher.decrypt_padded::<NoPadding>(out).map_err(|_| OpenError::Malformed)?;
        let padding = usize::from(out.pop().ok_or(OpenError::Malformed)?);
        let length = out.len().checked_sub(padding).filter(|_| padding < BLOCK).ok_or(OpenError::Malformed)?;
        out.truncate(length);
        Ok(())
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKeys(suite {}, …)", self.suite)
    }
}
