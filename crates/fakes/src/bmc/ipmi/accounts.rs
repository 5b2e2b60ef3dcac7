//! Users, their passwords and privileges, and lock-out.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// So many users a channel has; the first is the one without a name.
pub(super) const SLOTS: u8 = 15;

/// What a user, or a session, may do (section 6.8). Each may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privilege {
    /// Have itself called back.
    Callback = 1,
    /// Read.
    User = 2,
    /// Control, but not configure.
    Operator = 3,
    /// Everything.
    Administrator = 4,
}

impl Privilege {
    pub(super) fn from_code(code: u8) -> Option<Self> {
        [Self::Callback, Self::User, Self::Operator, Self::Administrator].into_iter().find(|it| *it as u8 == code)
    }
}

/// A user to begin with. They get the IDs from 2 on, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// At most 16 bytes.
    pub name: String,
    /// At most 20 bytes.
    pub password: String,
    /// The most it may do.
    pub privilege: Privilege,
    /// Whether it may log in.
    pub enabled: bool,
}

impl User {
    /// One that may log in.
    pub fn new(name: &str, password: &str, privilege: Privilege) -> Self {
        Self { name: name.into(), password: password.into(), privilege, enabled: true }
    }
}

/// When a user is locked out after wrong passwords, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lockout {
    /// After so many wrong ones in a row.
    pub after: u32,
    /// For so long.
    pub lasts: Duration,
}

/// A user as the BMC keeps it.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    pub(super) name: Vec<u8>,
    /// Padded with zeros.
    pub(super) password: [u8; 20],
    /// It was set with 20 bytes, and is not to be had with 16.
    pub(super) long: bool,
    pub(super) enabled: bool,
    /// `None`: no access by this channel.
    pub(super) privilege: Option<Privilege>,
    failures: u32,
    locked_until: Option<Timestamp>,
}

/// All users of a BMC.
#[derive(Clone, Debug)]
pub(super) struct Accounts {
    slots: Vec<Account>,
    lockout: Option<Lockout>,
}

impl Accounts {
    pub(super) fn new(users: &[User], lockout: Option<Lockout>) -> Self {
        let mut slots = vec![Account::default(); usize::from(SLOTS)];
        for (account, user) in slots.iter_mut().skip(1).zip(users) {
            account.name = user.name.as_bytes().to_vec();
            account.set_password(user.password.as_bytes(), user.password.len() > 16);
            account.enabled = user.enabled;
            account.privilege = Some(user.privilege);
        }
        Self { slots, lockout }
    }

    /// The user of an ID.
    pub(super) fn get(&self, id: u8) -> Option<&Account> {
        self.slots.get(usize::from(id.checked_sub(1)?))
    }

    /// The user of an ID, to change it.
    pub(super) fn get_mut(&mut self, id: u8) -> Option<&mut Account> {
        self.slots.get_mut(usize::from(id.checked_sub(1)?))
    }

    /// How many may log in.
    pub(super) fn enabled(&self) -> usize {
        self.slots.iter().filter(|account| account.enabled).count()
    }

    /// The ID of the user who may log in by a name. With a privilege, the first of that name whose limit it is; without, the first.
    pub(super) fn find(&self, name: &[u8], privilege: Option<Privilege>, now: Timestamp) -> Option<u8> {
        let suits = |account: &Account| {
            account.enabled
                && account.name == name
                && account.privilege.is_some()
                && privilege.is_none_or(|wanted| account.privilege >= Some(wanted))
                && account.locked_until.is_none_or(|until| until <= now)
        };
        let index = self.slots.iter().position(suits)?;
        u8::try_from(index + 1).ok()
    }

    /// Whether the password of a name is this one.
    pub(super) fn has_password(&self, name: &[u8], password: &[u8]) -> bool {
        let mut padded = Account::default();
        padded.set_password(password, false);
        self.slots.iter().any(|account| account.name == name && account.password == padded.password)
    }

    /// A login with a wrong password.
    pub(super) fn failed(&mut self, id: u8, now: Timestamp) {
        let lockout = self.lockout;
        let Some(account) = self.get_mut(id) else { return };
        account.failures += 1;
        if let Some(lockout) = lockout
            && account.failures >= lockout.after
        {
            account.failures = 0;
            account.locked_until = Some(now + SignedDuration::try_from(lockout.lasts).unwrap_or(SignedDuration::MAX));
        }
    }

    /// A login with the right password.
    pub(super) fn succeeded(&mut self, id: u8) {
        if let Some(account) = self.get_mut(id) {
            account.failures = 0;
        }
    }
}

impl Account {
    /// Sets the password, of at most 20 bytes.
    pub(super) fn set_password(&mut self, password: &[u8], long: bool) {
        self.password = [0; 20];
        for (to, from) in self.password.iter_mut().zip(password) {
            *to = *from;
        }
        self.long = long;
    }
}
