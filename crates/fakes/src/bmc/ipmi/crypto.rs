//! The BMC's end of the cryptography of RMCP+ (sections 13.28 to 13.33), by another library than the client's.

use aws_lc_rs::cipher::{
    AES_128, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{hmac, rand};

/// A cipher suite (section 22.15.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128.
    Three,
    /// HMAC-SHA256, HMAC-SHA256-128, AES-CBC-128.
    Seventeen,
}

impl Suite {
    /// Its number.
    pub fn id(self) -> u8 {
        match self {
            Self::Three => 3,
            Self::Seventeen => 17,
        }
    }

    /// The numbers of its algorithms: authentication, integrity, confidentiality.
    pub(super) fn algorithms(self) -> [u8; 3] {
        match self {
            Self::Three => [1, 1, 1],
            Self::Seventeen => [3, 4, 1],
        }
    }

    fn hash(self) -> hmac::Algorithm {
        match self {
            Self::Three => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Seventeen => hmac::HMAC_SHA256,
        }
    }

    /// Bytes of an integrity code.
    pub(super) fn code_length(self) -> usize {
        match self {
            Self::Three => 12,
            Self::Seventeen => 16,
        }
    }

    /// The whole HMAC of these parts, one behind the other.
    pub(super) fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&hmac::Key::new(self.hash(), key));
        for part in parts {
            context.update(part);
        }
        context.sign().as_ref().to_vec()
    }

    /// The HMAC of these parts, cut to the length of an integrity code.
    pub(super) fn code(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let mut code = self.hmac(key, parts);
        code.truncate(self.code_length());
        code
    }
}

/// What seals a session.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) suite: Suite,
    /// For the integrity codes.
    k1: Vec<u8>,
    /// For the encryption.
    aes: [u8; 16],
}

impl Keys {
    /// Derives them from the session's key.
    pub(super) fn derive(suite: Suite, sik: &[u8]) -> Self {
        let k2 = suite.hmac(sik, &[&[2; 20]]);
        let mut aes = [0; 16];
        aes.copy_from_slice(&k2[..16]);
        Self { suite, k1: suite.hmac(sik, &[&[1; 20]]), aes }
    }

    /// The integrity code of a packet.
    pub(super) fn code(&self, covered: &[u8]) -> Vec<u8> {
        self.suite.code(&self.k1, &[covered])
    }

    /// Encrypts a payload: initialisation vector, then the payload with its padding.
    pub(super) fn encrypt(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = payload.to_vec();
        let padding = (16 - (payload.len() + 1) % 16) % 16;
        sealed.extend((1..).take(padding));
        sealed.push(u8::try_from(padding).ok()?);
        let iv: [u8; 16] = random();
        let key = EncryptingKey::cbc(UnboundCipherKey::new(&AES_128, &self.aes).ok()?).ok()?;
        key.less_safe_encrypt(&mut sealed, EncryptionContext::Iv128(FixedLength::from(iv))).ok()?;
        Some([&iv[..], &sealed].concat())
    }

    /// Decrypts a payload; `None` if it was not encrypted with this key.
    pub(super) fn decrypt(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (iv, body) = sealed.split_first_chunk::<16>()?;
        let mut body = body.to_vec();
        let key = DecryptingKey::cbc(UnboundCipherKey::new(&AES_128, &self.aes).ok()?).ok()?;
        key.decrypt(&mut body, DecryptionContext::Iv128(FixedLength::from(*iv))).ok()?;
        let padding = usize::from(body.pop()?);
        let end = body.len().checked_sub(padding)?;
        if !body[end..].iter().copied().eq((1..).take(padding)) {
            return None;
        }
        body.truncate(end);
        Some(body)
    }
}

/// Random bytes.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // It fails only if the operating system has none; zeros are as good for a fake.
    let _ = rand::fill(&mut bytes);
    bytes
}
