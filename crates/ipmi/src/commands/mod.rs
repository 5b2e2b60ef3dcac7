//! The commands, one file per group of the specification. A [`Command`] is bytes to send and how to read the answer;
//! what takes several of them (the whole SEL, all sensors) is a method of [`Client`](crate::Client) in the same file.

pub mod app;
pub mod boot;
pub mod channel;
pub mod chassis;
pub mod events;
pub mod fru;
pub mod lan;
pub mod sdr;
pub mod sel;
pub mod sensor;
pub mod text;
pub mod units;
pub mod user;

use crate::session::Delivery;
use crate::wire::{CompletionCode, DecodeError, NetFn};

/// A command of the specification.
pub trait Command {
    /// What the BMC returns.
    type Output;

    /// Its name in the specification, for errors.
    const NAME: &'static str;
    /// Network function.
    const NETFN: NetFn;
    /// Command number.
    const COMMAND: u8;
    /// May it be sent more than once?
    const DELIVERY: Delivery = Delivery::Repeated;

    /// Appends its data.
    fn encode(&self, _out: &mut Vec<u8>) {}

    /// Reads the data of a response that completed normally.
    fn decode(&self, data: &[u8]) -> Result<Self::Output, DecodeError>;

    /// The responder's logical unit.
    fn lun(&self) -> u8 {
        0
    }

    /// What a completion code means for this command, where it is specific to it.
    fn explain(_code: CompletionCode) -> Option<&'static str> {
        None
    }
}
