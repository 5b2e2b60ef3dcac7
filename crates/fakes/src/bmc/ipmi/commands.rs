//! Which commands there are, what privilege each needs (appendix G), and what executes it.

use super::accounts::Privilege;
use super::bmc::{Asked, Bmc, Then};
use super::{app, chassis, lan, sel, sensors, storage, users};

/// Network functions (section 5.1).
pub(super) const CHASSIS: u8 = 0x00;
const SENSOR: u8 = 0x04;
const APP: u8 = 0x06;
const STORAGE: u8 = 0x0a;
const TRANSPORT: u8 = 0x0c;

/// A completion code other than 0 (section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) u8);

pub(super) const INVALID_COMMAND: Refusal = Refusal(0xc1);
pub(super) const OUT_OF_SPACE: Refusal = Refusal(0xc4);
pub(super) const RESERVATION_LOST: Refusal = Refusal(0xc5);
pub(super) const INVALID_LENGTH: Refusal = Refusal(0xc7);
pub(super) const OUT_OF_RANGE: Refusal = Refusal(0xc9);
pub(super) const TOO_MANY_BYTES: Refusal = Refusal(0xca);
pub(super) const NOT_PRESENT: Refusal = Refusal(0xcb);
pub(super) const INVALID_FIELD: Refusal = Refusal(0xcc);
pub(super) const INSUFFICIENT_PRIVILEGE: Refusal = Refusal(0xd4);
pub(super) const NOT_IN_THIS_STATE: Refusal = Refusal(0xd5);

/// What executes a command: the answer's data, and what happens after it is sent.
pub(super) type Execute = fn(&mut Bmc, &Asked) -> Result<(Vec<u8>, Then), Refusal>;

/// The most bytes that are read at once of the records and of the inventory.
pub(super) const MAX_READ: usize = 32;

/// The privilege that a command needs (`None`: not even a session), and what executes it.
pub(super) fn find(function: u8, command: u8) -> Option<(Option<Privilege>, Execute)> {
    let anybody = None;
    let (user, operator, administrator) =
        (Some(Privilege::User), Some(Privilege::Operator), Some(Privilege::Administrator));
    let (needed, execute): (_, Execute) = match (function, command) {
        (CHASSIS, 0x00) => (user, chassis::capabilities),
        (CHASSIS, 0x01) => (user, chassis::status),
        (CHASSIS, 0x02) => (operator, chassis::control),
        (CHASSIS, 0x04) => (operator, chassis::identify),
        (CHASSIS, 0x06) => (operator, chassis::set_restore_policy),
        (CHASSIS, 0x07) => (user, chassis::restart_cause),
        (CHASSIS, 0x08) => (operator, chassis::set_boot_option),
        (CHASSIS, 0x09) => (operator, chassis::boot_option),
        (CHASSIS, 0x0f) => (user, chassis::hours),
        (SENSOR, 0x27) => (user, sensors::thresholds),
        (SENSOR, 0x2d) => (user, sensors::reading),
        (APP, 0x01) => (user, app::device_id),
        (APP, 0x02 | 0x03) => (administrator, app::restart),
        (APP, 0x04) => (user, app::self_test),
        (APP, 0x08) => (user, app::guid),
        (APP, 0x37) => (anybody, app::guid),
        (APP, 0x38) => (anybody, app::authentication_capabilities),
        (APP, 0x3b) => (Some(Privilege::Callback), app::set_privilege),
        (APP, 0x3c) => (Some(Privilege::Callback), app::close_session),
        (APP, 0x3d) => (user, app::session_info),
        (APP, 0x41) => (user, app::channel_access),
        (APP, 0x42) => (user, app::channel_info),
        (APP, 0x43) => (administrator, users::set_access),
        (APP, 0x44) => (operator, users::access),
        (APP, 0x45) => (administrator, users::set_name),
        (APP, 0x46) => (operator, users::name),
        (APP, 0x47) => (administrator, users::set_password),
        (APP, 0x54) => (anybody, app::cipher_suites),
        (STORAGE, 0x10) => (user, storage::inventory_area),
        (STORAGE, 0x11) => (user, storage::read_inventory),
        (STORAGE, 0x20) => (user, storage::repository_info),
        (STORAGE, 0x22) => (user, storage::reserve_repository),
        (STORAGE, 0x23) => (user, storage::read_record),
        (STORAGE, 0x40) => (user, sel::info),
        (STORAGE, 0x41) => (user, sel::allocation),
        (STORAGE, 0x42) => (user, sel::reserve),
        (STORAGE, 0x43) => (user, sel::read),
        (STORAGE, 0x44) => (operator, sel::add),
        (STORAGE, 0x47) => (operator, sel::clear),
        (STORAGE, 0x48) => (user, sel::time),
        (TRANSPORT, 0x02) => (operator, lan::parameter),
        _ => return None,
    };
    Some((needed, execute))
}

/// Whether a command carries a password.
pub(super) fn is_secret(function: u8, command: u8) -> bool {
    (function, command) == (APP, 0x47)
}

/// An answer with these data, after which nothing happens.
#[expect(clippy::unnecessary_wraps, reason = "it is what commands end with")]
pub(super) fn done(data: Vec<u8>) -> Result<(Vec<u8>, Then), Refusal> {
    Ok((data, Then::Nothing))
}

/// The data of a request, which must be just so long.
pub(super) fn exactly<'a, const N: usize>(asked: &Asked<'a>) -> Result<&'a [u8; N], Refusal> {
    asked.data.try_into().map_err(|_| INVALID_LENGTH)
}

/// A part of a record or an inventory, as a read from `offset` gets it.
pub(super) fn part(whole: &[u8], offset: usize, count: usize) -> Result<&[u8], Refusal> {
    let rest = whole.get(offset..).ok_or(OUT_OF_RANGE)?;
    let wanted = count.min(rest.len());
    if wanted > MAX_READ { Err(TOO_MANY_BYTES) } else { Ok(&rest[..wanted]) }
}
