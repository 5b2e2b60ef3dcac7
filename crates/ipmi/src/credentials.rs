//! Who we are to a BMC. What is secret is never shown by `Debug` and is wiped from memory when dropped.

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::wire::MAX_USERNAME;

/// Longest password and longest `K_g`, in bytes (IPMI 2.0 §22.30, §13.31).
pub const MAX_KEY: usize = 20;

/// Credentials that no BMC can have; nothing was sent.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CredentialsError {
    /// The user name is too long.
    #[error("the user name has {0} bytes; IPMI allows at most 16")]
    UsernameTooLong(usize),
    /// The password is too long. It is not cut, since the BMC would refuse the rest silently.
    #[error("the password has {0} bytes; IPMI 2.0 allows at most 20")]
    PasswordTooLong(usize),
    /// `K_g` is too long.
    #[error("K_g has {0} bytes; IPMI 2.0 allows at most 20")]
    KgTooLong(usize),
}

/// A user's name; empty for the anonymous user.
#[derive(Clone, PartialEq, Eq)]
pub struct Username(Box<[u8]>);

impl Username {
    /// At most 16 bytes.
    pub fn new(name: impl AsRef<[u8]>) -> Result<Self, CredentialsError> {
        let name = name.as_ref();
        if name.len() > MAX_USERNAME {
            return Err(CredentialsError::UsernameTooLong(name.len()));
        }
        Ok(Self(name.into()))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Username({self})")
    }
}

/// A user's password: `K_uid` of the specification.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// At most 20 bytes.
    pub fn new(password: impl AsRef<[u8]>) -> Result<Self, CredentialsError> {
        let password = password.as_ref();
        if password.len() > MAX_KEY {
            return Err(CredentialsError::PasswordTooLong(password.len()));
        }
        Ok(Self(Zeroizing::new(password.to_vec())))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// The BMC's own key, `K_g` ("two-key login", §13.31): needed where the BMC has one beside the users' passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct Kg(Zeroizing<Vec<u8>>);

impl Kg {
    /// At most 20 bytes; or all 20 as `0x` and 40 hexadecimal digits, which is how most BMCs show it.
    pub fn new(key: impl AsRef<[u8]>) -> Result<Self, CredentialsError> {
        let key = key.as_ref();
        if let Some(bytes) = hexadecimal(key) {
            return Ok(Self(bytes));
        }
        if key.len() > MAX_KEY {
            return Err(CredentialsError::KgTooLong(key.len()));
        }
        Ok(Self(Zeroizing::new(key.to_vec())))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A `K_g` of zeros is none: the user's password then takes its place (§13.31).
    pub(crate) fn is_null(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }
}

impl fmt::Debug for Kg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kg(…)")
    }
}

/// What `0x` and 40 digits stand for.
fn hexadecimal(key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let digits = key.strip_prefix(b"0x").filter(|digits| digits.len() == 2 * MAX_KEY)?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = digits.as_chunks::<2>().0.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    bytes.collect::<Option<Vec<u8>>>().map(Zeroizing::new)
}

/// User name, password and, where the BMC has one, `K_g`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub username: Username,
    /// The user's password.
    pub password: Password,
    /// The BMC's own key, if it has one.
    pub kg: Option<Kg>,
}

impl Credentials {
    /// A user with a password, at a BMC without `K_g`.
    pub fn new(username: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> Result<Self, CredentialsError> {
        Ok(Self { username: Username::new(username)?, password: Password::new(password)?, kg: None })
    }

    /// The same with a `K_g`.
    pub fn with_kg(self, kg: impl AsRef<[u8]>) -> Result<Self, CredentialsError> {
        Ok(Self { kg: Some(Kg::new(kg)?), ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_refused() {
        assert_eq!(Credentials::new("a".repeat(17), "p").unwrap_err(), CredentialsError::UsernameTooLong(17));
        assert_eq!(Credentials::new("a", "p".repeat(21)).unwrap_err(), CredentialsError::PasswordTooLong(21));
        let longest = Credentials::new("a".repeat(16), "p".repeat(20)).unwrap();
        assert_eq!(longest.with_kg([1; 21]).unwrap_err(), CredentialsError::KgTooLong(21));
    }

    #[test]
    fn a_key_may_be_given_in_digits() {
        let digits = format!("0x{}", "0aF0".repeat(10));
        assert_eq!(Kg::new(&digits).unwrap().as_bytes(), [0x0a, 0xf0].repeat(10));
        assert_eq!(Kg::new("0x0a").unwrap().as_bytes(), b"0x0a", "too short for that");
        let wrong = format!("0x{}", "0g".repeat(20));
        assert_eq!(Kg::new(&wrong).unwrap_err(), CredentialsError::KgTooLong(42));
    }

    #[test]
    fn debug_shows_no_secret() {
        let credentials = Credentials::new("admin", "hunter2").unwrap().with_kg("sesame").unwrap();
        let shown = format!("{credentials:?}");
        assert_eq!(shown, "Credentials { username: Username(admin), password: Password(…), kg: Some(Kg(…)) }");
    }
}
