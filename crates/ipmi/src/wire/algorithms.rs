//! The algorithms of a session and the cipher suites made of them.

use std::fmt;

/// The three algorithm numbers that an Open Session Request proposes and its response selects (IPMI 2.0 §13.28).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Algorithms {
    /// Table 13-17; 0 none, 1 RAKP-HMAC-SHA1, 2 RAKP-HMAC-MD5, 3 RAKP-HMAC-SHA256.
    pub authentication: u8,
    /// Table 13-18; 0 none, 1 HMAC-SHA1-96, 2 HMAC-MD5-128, 3 MD5-128, 4 HMAC-SHA256-128.
    pub integrity: u8,
    /// Table 13-19; 0 none, 1 AES-CBC-128, 2 xRC4-128, 3 xRC4-40.
    pub confidentiality: u8,
}

/// A cipher suite that this crate speaks (IPMI 2.0 §22.15.2, Table 22-20). Ordered by strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CipherSuite {
    /// Suite 3: RAKP-HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128.
    Suite3,
    /// Suite 17: RAKP-HMAC-SHA256, HMAC-SHA256-128, AES-CBC-128.
    Suite17,
}

impl CipherSuite {
    /// The suite's number in the specification.
    pub fn id(self) -> u8 {
        match self {
            Self::Suite3 => 3,
            Self::Suite17 => 17,
        }
    }

    /// The suite of this number, if it is one that this crate speaks.
    pub fn from_id(id: u8) -> Option<Self> {
        match id {
            3 => Some(Self::Suite3),
            17 => Some(Self::Suite17),
            _ => None,
        }
    }

    /// Its algorithms.
    pub fn algorithms(self) -> Algorithms {
        match self {
            Self::Suite3 => Algorithms { authentication: 1, integrity: 1, confidentiality: 1 },
            Self::Suite17 => Algorithms { authentication: 3, integrity: 4, confidentiality: 1 },
        }
    }

    /// The suite made of these algorithms, if it is one that this crate speaks.
    pub fn from_algorithms(algorithms: Algorithms) -> Option<Self> {
        [Self::Suite17, Self::Suite3].into_iter().find(|suite| suite.algorithms() == algorithms)
    }

    /// Length of the key exchange authentication codes of RAKP 2 and 3: the whole HMAC.
    pub fn key_exchange_length(self) -> usize {
        match self {
            Self::Suite3 => 20,
            Self::Suite17 => 32,
        }
    }

    /// Length of the integrity check value in RAKP 4 and of the authentication code in each packet (§13.28.4).
    pub fn integrity_length(self) -> usize {
        match self {
            Self::Suite3 => 12,
            Self::Suite17 => 16,
        }
    }
}

impl fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id().fmt(f)
    }
}
