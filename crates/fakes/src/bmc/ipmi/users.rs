//! Commands about users (sections 22.26 to 22.30).

use super::accounts::{Account, Privilege, SLOTS};
use super::app::this_channel;
use super::bmc::{Asked, Bmc, Then};
use super::commands::{INVALID_FIELD, INVALID_LENGTH, OUT_OF_RANGE, Refusal, done, exactly};

type Answer = Result<(Vec<u8>, Then), Refusal>;

/// No access by this channel.
const NO_ACCESS: u8 = 0xf;
const WRONG_PASSWORD: Refusal = Refusal(0x80);
const WRONG_SIZE: Refusal = Refusal(0x81);

/// Set User Access.
pub(super) fn set_access(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let ([channel, id, limit] | [channel, id, limit, _]) = asked.data else { return Err(INVALID_LENGTH) };
    this_channel(*channel)?;
    account(bmc, *id)?.privilege = match limit & 0xf {
        NO_ACCESS => None,
        code => Some(Privilege::from_code(code).ok_or(INVALID_FIELD)?),
    };
    done(Vec::new())
}

/// Get User Access.
pub(super) fn access(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let [channel, id] = exactly(asked)?;
    this_channel(*channel)?;
    let enabled = u8::try_from(bmc.accounts.enabled()).unwrap_or(SLOTS);
    let account = account(bmc, *id)?;
    let state = if account.enabled { 0x40 } else { 0x80 };
    let access = match account.privilege {
        // By link and by message.
        Some(privilege) => 0x30 | privilege as u8,
        None => NO_ACCESS,
    };
    // The first user's name, which is none, is fixed.
    done(vec![SLOTS, state | enabled, 1, access])
}

/// Set User Name.
pub(super) fn set_name(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let [id, name @ ..] = exactly::<17>(asked)?;
    if id & 0x3f == 1 {
        return Err(INVALID_FIELD);
    }
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    account(bmc, *id)?.name = name[..end].to_vec();
    done(Vec::new())
}

/// Get User Name.
pub(super) fn name(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let [id] = exactly(asked)?;
    let mut name = account(bmc, *id)?.name.clone();
    name.resize(16, 0);
    done(name)
}

/// Set User Password: disable, enable, set, test.
pub(super) fn set_password(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let [id, operation, password @ ..] = asked.data else { return Err(INVALID_LENGTH) };
    let long = id & 0x80 != 0;
    let account = account(bmc, *id)?;
    let has_its_length = password.len() == if long { 20 } else { 16 };
    match operation & 3 {
        0 => account.enabled = false,
        1 => account.enabled = true,
        _ if !has_its_length => return Err(INVALID_LENGTH),
        2 => account.set_password(password, long),
        _ if account.long != long => return Err(WRONG_SIZE),
        _ if !account.password.starts_with(password) => return Err(WRONG_PASSWORD),
        _ => {}
    }
    done(Vec::new())
}

fn account(bmc: &mut Bmc, id: u8) -> Result<&mut Account, Refusal> {
    bmc.accounts.get_mut(id & 0x3f).ok_or(OUT_OF_RANGE)
}
