//! The BMC's users: Get User Access (§22.27), Get User Name (§22.29), Set User Password (§22.30).

use super::{Command, channel::THIS_CHANNEL};
use crate::client::Client;
use crate::credentials::{MAX_KEY, Password};
use crate::error::Error;
use crate::session::Delivery;
use crate::wire::{CompletionCode, DecodeError, NetFn, Privilege, Reader};

/// A user's number: 1 to 63. Number 1 is the user without a name (§6.9).
pub type UserId = u8;

const ID_MASK: u8 = 0x3f;

/// Get User Access (§22.27) on the channel that we use.
#[derive(Clone, Copy, Debug)]
pub struct GetUserAccess {
    /// Whose.
    pub user: UserId,
}

/// The answer to [`GetUserAccess`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserAccess {
    /// The highest user number that the BMC has.
    pub max_users: UserId,
    /// False for a user that is disabled; `None`: the BMC does not say.
    pub enabled: Option<bool>,
    /// The user may use IPMI on this channel.
    pub ipmi_messaging: bool,
    /// The user's highest privilege level here; `None`: no access.
    pub privilege: Option<Privilege>,
}

impl Command for GetUserAccess {
    type Output = UserAccess;
    const NAME: &'static str = "Get User Access";
    const NETFN: NetFn = NetFn::APP;
    const COMMAND: u8 = 0x44;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend([THIS_CHANNEL, self.user & ID_MASK]);
    }

    fn decode(&self, data: &[u8]) -> Result<UserAccess, DecodeError> {
        let [max_users, enabled, _fixed, access] = Reader::new(Self::NAME, data).array()?;
        Ok(UserAccess {
            max_users: max_users & ID_MASK,
            enabled: match enabled >> 6 {
                1 => Some(true),
                2 => Some(false),
                _ => None,
            },
            ipmi_messaging: access & 0x10 != 0,
            privilege: Privilege::from_number(access & 0x0f),
        })
    }
}

/// Get User Name (§22.29).
#[derive(Clone, Copy, Debug)]
pub struct GetUserName {
    /// Whose.
    pub user: UserId,
}

impl Command for GetUserName {
    type Output = String;
    const NAME: &'static str = "Get User Name";
    const NETFN: NetFn = NetFn::APP;
    const COMMAND: u8 = 0x46;

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.user & ID_MASK);
    }

    fn decode(&self, data: &[u8]) -> Result<String, DecodeError> {
        let name: [u8; 16] = Reader::new(Self::NAME, data).array()?;
        let length = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        Ok(name[..length].escape_ascii().to_string())
    }
}

/// What Set User Password does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordOperation {
    /// Disables the user.
    Disable,
    /// Enables the user.
    Enable,
    /// Sets the password.
    Set(Password),
    /// Asks whether this is the password.
    Test(Password),
}

/// How many bytes a password is stored with (§22.30). The specification lets a BMC refuse to compare one with the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordSize {
    /// 16, as since IPMI 1.5: every BMC takes them.
    Sixteen,
    /// 20, since IPMI 2.0.
    Twenty,
}

impl PasswordSize {
    /// The smaller one that holds it.
    pub fn of(password: &Password) -> Self {
        if password.as_bytes().len() > Self::Sixteen.bytes() { Self::Twenty } else { Self::Sixteen }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Sixteen => 16,
            Self::Twenty => MAX_KEY,
        }
    }
}

/// The completion code of a test with another size than that which the password is stored with (§22.30).
const OTHER_SIZE: CompletionCode = CompletionCode(0x81);
const OTHER_PASSWORD: CompletionCode = CompletionCode(0x80);

/// Set User Password (§22.30). It is sent once: repeated in a new session, that would be opened with the old password, and a
/// BMC that has the new one by then counts it as a refused login.
#[derive(Clone, Debug)]
pub struct SetUserPassword {
    /// Whose.
    pub user: UserId,
    /// What to do.
    pub operation: PasswordOperation,
    /// With how many bytes; a longer password is cut, so [`PasswordSize::of`] is what to use to set one.
    pub size: PasswordSize,
}

impl Command for SetUserPassword {
    type Output = ();
    const NAME: &'static str = "Set User Password";
    const NETFN: NetFn = NetFn::APP;
    const COMMAND: u8 = 0x47;
    const DELIVERY: Delivery = Delivery::Once;

    fn encode(&self, out: &mut Vec<u8>) {
        let (operation, password) = match &self.operation {
            PasswordOperation::Disable => (0, None),
            PasswordOperation::Enable => (1, None),
            PasswordOperation::Set(password) => (2, Some(password)),
            PasswordOperation::Test(password) => (3, Some(password)),
        };
        // Bit 7: the password has 20 bytes, not 16.
        let size_bit = if self.size == PasswordSize::Twenty { 0x80 } else { 0 };
        out.extend([size_bit | self.user & ID_MASK, operation]);
        if let Some(password) = password {
            let end = out.len() + self.size.bytes();
            out.extend_from_slice(password.as_bytes());
            out.resize(end, 0);
        }
    }

    fn decode(&self, _data: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }

    fn explain(code: CompletionCode) -> Option<&'static str> {
        match code {
            OTHER_PASSWORD => Some("the password is another one"),
            OTHER_SIZE => Some("the password is stored with another size, 16 bytes or 20"),
            CompletionCode::INVALID_LENGTH => Some("the BMC takes passwords of 16 bytes at most"),
            _ => None,
        }
    }
}

/// A user of the BMC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub id: UserId,
    /// Its name; empty for the user without a name, and for unused numbers.
    pub name: String,
    /// What it may do.
    pub access: UserAccess,
}

impl Client {
    /// All users of the BMC, disabled ones and unused numbers too. A number that the BMC does not tell of is left out.
    pub async fn users(&self) -> Result<Vec<User>, Error> {
        let mut users = Vec::new();
        let mut last = 1;
        for id in 1..=ID_MASK {
            if id > last {
                break;
            }
            let access = match self.run(&GetUserAccess { user: id }).await {
                Ok(access) => access,
                // Some refuse numbers that have never been used.
                Err(Error::Completion { .. }) if id > 1 => continue,
                Err(error) => return Err(error),
            };
            last = access.max_users;
            let name = match self.run(&GetUserName { user: id }).await {
                Ok(name) => name,
                // A number without a name.
                Err(Error::Completion { .. }) => String::new(),
                Err(error) => return Err(error),
            };
            users.push(User { id, name, access });
        }
        Ok(users)
    }

    /// True if this is the user's password, with whichever size it is stored.
    pub async fn test_password(&self, user: UserId, password: Password) -> Result<bool, Error> {
        let sizes = match PasswordSize::of(&password) {
            PasswordSize::Sixteen => &[PasswordSize::Sixteen, PasswordSize::Twenty][..],
            // One that is stored with 16 bytes is another one.
            PasswordSize::Twenty => &[PasswordSize::Twenty],
        };
        for &size in sizes {
            let test = SetUserPassword { user, operation: PasswordOperation::Test(password.clone()), size };
            match self.run(&test).await {
                Ok(()) => return Ok(true),
                Err(Error::Completion { code: OTHER_SIZE, .. }) => {}
                Err(Error::Completion { code: OTHER_PASSWORD, .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Sets a user's password: with 16 bytes, which every BMC takes, if it has no more; else with 20.
    pub async fn set_password(&self, user: UserId, password: Password) -> Result<(), Error> {
        let size = PasswordSize::of(&password);
        self.run(&SetUserPassword { user, operation: PasswordOperation::Set(password), size }).await
    }
}
