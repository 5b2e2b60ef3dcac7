//! The BMC's users: Get User Access (§22.27), Get User Name (§22.29), Set User Password (§22.30).

use super::{Command, channel::THIS_CHANNEL};
use crate::client::Client;
use crate::credentials::{MAX_KEY, Password};
use crate::error::Error;
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

/// Set User Password (§22.30), always with 20 bytes. Doing it twice is as doing it once.
#[derive(Clone, Debug)]
pub struct SetUserPassword {
    /// Whose.
    pub user: UserId,
    /// What to do.
    pub operation: PasswordOperation,
}

impl Command for SetUserPassword {
    type Output = ();
    const NAME: &'static str = "Set User Password";
    const NETFN: NetFn = NetFn::APP;
    const COMMAND: u8 = 0x47;

    fn encode(&self, out: &mut Vec<u8>) {
        let (operation, password) = match &self.operation {
            PasswordOperation::Disable => (0, None),
            PasswordOperation::Enable => (1, None),
            PasswordOperation::Set(password) => (2, Some(password)),
            PasswordOperation::Test(password) => (3, Some(password)),
        };
        // Bit 7: the password has 20 bytes, not 16.
        out.extend([0x80 | self.user & ID_MASK, operation]);
        if let Some(password) = password {
            let start = out.len();
            out.extend_from_slice(password.as_bytes());
            out.resize(start + MAX_KEY, 0);
        }
    }

    fn decode(&self, _data: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }

    fn explain(code: CompletionCode) -> Option<&'static str> {
        match code.0 {
            0x80 => Some("the password is another one"),
            0x81 => Some("the password was stored with 16 bytes, not 20"),
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
    /// All users of the BMC, unused numbers too.
    pub async fn users(&self) -> Result<Vec<User>, Error> {
        let mut users = Vec::new();
        let mut last = 1;
        for id in 1..=ID_MASK {
            if id > last {
                break;
            }
            let access = self.run(&GetUserAccess { user: id }).await?;
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

    /// True if this is the user's password.
    pub async fn test_password(&self, user: UserId, password: Password) -> Result<bool, Error> {
        let test = SetUserPassword { user, operation: PasswordOperation::Test(password) };
        match self.run(&test).await {
            Ok(()) => Ok(true),
            Err(Error::Completion { code: CompletionCode(0x80), .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sets a user's password.
    pub async fn set_password(&self, user: UserId, password: Password) -> Result<(), Error> {
        self.run(&SetUserPassword { user, operation: PasswordOperation::Set(password) }).await
    }
}
