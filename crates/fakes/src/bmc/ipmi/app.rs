//! Commands about the BMC itself, its channel and its sessions (sections 20 to 22).

use super::accounts::Privilege;
use super::bmc::{Asked, Bmc, Then};
use super::commands::{INSUFFICIENT_PRIVILEGE, INVALID_FIELD, INVALID_LENGTH, NOT_PRESENT, Refusal, done, exactly};
use super::{CHANNEL, MANUFACTURER, PRESENT_CHANNEL};

type Answer = Result<(Vec<u8>, Then), Refusal>;

const PRIVILEGE_EXCEEDS_LIMIT: Refusal = Refusal(0x81);
const NO_SUCH_SESSION: Refusal = Refusal(0x87);

/// Get Device ID: firmware 2.14, IPMI 2.0, with SDRs, SEL, FRU inventory and chassis commands.
pub(super) fn device_id(_: &mut Bmc, _: &Asked) -> Answer {
    let [m0, m1, m2, _] = MANUFACTURER.to_le_bytes();
    done(vec![0x20, 0x81, 2, 0x14, 2, 0x8f, m0, m1, m2, 1, 0, 0, 0, 0, 0])
}

/// Cold Reset and Warm Reset.
#[expect(clippy::unnecessary_wraps, reason = "all commands may fail")]
pub(super) fn restart(_: &mut Bmc, _: &Asked) -> Answer {
    Ok((Vec::new(), Then::Restart))
}

/// Get Self Test Results: no error.
pub(super) fn self_test(_: &mut Bmc, _: &Asked) -> Answer {
    done(vec![0x55, 0])
}

/// Get Device GUID and Get System GUID.
pub(super) fn guid(bmc: &mut Bmc, _: &Asked) -> Answer {
    done(bmc.guid().to_vec())
}

/// Get Channel Authentication Capabilities: RMCP+ alone, and whether there is a `K_g`.
pub(super) fn authentication_capabilities(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let [channel, privilege] = exactly(asked)?;
    this_channel(*channel)?;
    Privilege::from_code(privilege & 0xf).ok_or(INVALID_FIELD)?;
    let two_keys = u8::from(bmc.settings.kg.is_some()) << 5;
    let named_users = 0x04;
    if channel & 0x80 == 0 {
        return done(vec![CHANNEL, 0, two_keys | named_users, 0, 0, 0, 0, 0]);
    }
    done(vec![CHANNEL, 0x80, two_keys | named_users, 0x02, 0, 0, 0, 0])
}

/// Get Channel Cipher Suites: 16 bytes of the list at a time.
pub(super) fn cipher_suites(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let [channel, _, index] = exactly(asked)?;
    this_channel(*channel)?;
    let listed = bmc.settings.suites.iter().map(|suite| suite.id()).chain(bmc.settings.also_lists.iter().copied());
    let record = |id: u8| {
        let [authentication, integrity, confidentiality] = algorithms(id);
        [0xc0, id, authentication, 0x40 | integrity, 0x80 | confidentiality]
    };
    let records: Vec<u8> = listed.flat_map(record).collect();
    let page = records.chunks(16).nth(usize::from(index & 0x3f)).unwrap_or_default();
    done([&[CHANNEL][..], page].concat())
}

/// The algorithms of the suites (table 22-20).
fn algorithms(suite: u8) -> [u8; 3] {
    match suite {
        1 => [1, 0, 0],
        2 => [1, 1, 0],
        3 => [1, 1, 1],
        6 => [2, 0, 0],
        7 => [2, 2, 0],
        8 => [2, 2, 1],
        15 => [3, 0, 0],
        16 => [3, 4, 0],
        17 => [3, 4, 1],
        _ => [0, 0, 0],
    }
}

/// Set Session Privilege Level; 0 asks for the present one.
pub(super) fn set_privilege(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let [wanted] = exactly(asked)?;
    let session = bmc.sessions.get_mut(asked.session).ok_or(INSUFFICIENT_PRIVILEGE)?;
    if wanted & 0xf != 0 {
        let wanted = Privilege::from_code(wanted & 0xf).filter(|it| *it > Privilege::Callback).ok_or(INVALID_FIELD)?;
        if wanted > session.limit {
            return Err(PRIVILEGE_EXCEEDS_LIMIT);
        }
        session.privilege = wanted;
    }
    done(vec![session.privilege as u8])
}

/// Close Session: one's own, or, for an administrator, another.
pub(super) fn close_session(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let id = u32::from_le_bytes(*exactly(asked)?);
    if id != asked.session && bmc.privilege(asked) < Some(Privilege::Administrator) {
        return Err(INSUFFICIENT_PRIVILEGE);
    }
    bmc.sessions.get(id).ok_or(NO_SUCH_SESSION)?;
    Ok((Vec::new(), Then::Close(id)))
}

/// Get Session Info: of the nth session, of a handle, of an ID, or of this one.
pub(super) fn session_info(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let active = bmc.sessions.active();
    let session = match asked.data {
        [0] => bmc.sessions.get(asked.session),
        [0xfe, handle] => active.iter().find(|session| session.handle == *handle),
        [0xff, id @ ..] => bmc.sessions.get(u32::from_le_bytes(id.try_into().map_err(|_| INVALID_LENGTH)?)),
        [nth] => active.get(usize::from(*nth) - 1),
        _ => return Err(INVALID_LENGTH),
    };
    let slots = u8::try_from(bmc.settings.sessions).unwrap_or(63) & 0x3f;
    let count = u8::try_from(active.len()).unwrap_or(63) & 0x3f;
    let Some(session) = session else { return done(vec![0, slots, count]) };
    let mut data = vec![session.handle, slots, count, session.user, session.privilege as u8, 0x10 | CHANNEL];
    if let std::net::IpAddr::V4(address) = session.peer.ip() {
        data.extend(address.octets());
        data.extend([0; 6]);
        data.extend(session.peer.port().to_be_bytes());
    }
    done(data)
}

/// Get Channel Access: always available, all of it enabled, up to an administrator.
pub(super) fn channel_access(_: &mut Bmc, asked: &Asked) -> Answer {
    let [channel, _] = exactly(asked)?;
    this_channel(*channel)?;
    done(vec![0x02, Privilege::Administrator as u8])
}

/// Get Channel Info: a LAN, with sessions.
pub(super) fn channel_info(bmc: &mut Bmc, asked: &Asked) -> Answer {
    let [channel] = exactly(asked)?;
    this_channel(*channel)?;
    let count = u8::try_from(bmc.sessions.active().len()).unwrap_or(63) & 0x3f;
    done(vec![CHANNEL, 4, 1, 0x80 | count, 0xf2, 0x1b, 0, 0, 0])
}

/// There is one channel.
pub(super) fn this_channel(channel: u8) -> Result<(), Refusal> {
    match channel & 0xf {
        CHANNEL | PRESENT_CHANNEL => Ok(()),
        _ => Err(NOT_PRESENT),
    }
}
