//! LAN configuration parameters (section 23.2).

use std::net::IpAddr;

use super::app::this_channel;
use super::bmc::{Asked, Bmc, Then};
use super::commands::{Refusal, done, exactly};

const UNKNOWN_PARAMETER: Refusal = Refusal(0x80);

/// Get LAN Configuration Parameters.
pub(super) fn parameter(bmc: &mut Bmc, asked: &Asked) -> Result<(Vec<u8>, Then), Refusal> {
    let [channel, number, set, _] = exactly(asked)?;
    this_channel(*channel)?;
    // Revision 1.1 of the parameters.
    let mut data = vec![0x11];
    if channel & 0x80 == 0 {
        data.extend(read(bmc, *number, *set).ok_or(UNKNOWN_PARAMETER)?);
    }
    done(data)
}

fn read(bmc: &Bmc, number: u8, set: u8) -> Option<Vec<u8>> {
    let suites = &bmc.settings.suites;
    Some(match number {
        // Set in progress: complete. Authentication types of IPMI 1.5: none. Priority of the VLAN.
        0 | 1 | 21 => vec![0],
        // Authentication types for each privilege.
        2 => vec![0; 5],
        3 => match bmc.address.ip() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(_) => vec![0; 4],
        },
        // The address is static. IPv6 is had alone, not beside IPv4.
        4 | 50 => vec![1],
        5 => bmc.machine.identity.macs.first()?.to_vec(),
        6 => vec![255, 0, 0, 0],
        // The default gateway, and its MAC.
        12 => vec![0; 4],
        13 => vec![0; 6],
        // VLAN: none.
        20 => vec![0; 2],
        22 => vec![u8::try_from(suites.len()).ok()?],
        23 => [0].into_iter().chain(suites.iter().map(|suite| suite.id())).chain([0; 16]).take(17).collect(),
        // Up to an administrator with each suite: four bits for each of sixteen.
        24 => [&[0][..], &[0x44; 8]].concat(),
        // Which of both is enabled.
        51 => vec![u8::from(bmc.address.is_ipv6())],
        // One static IPv6 address, none by DHCPv6 or SLAAC.
        55 => vec![1, 0, 0],
        // Static IPv6 addresses: source and enablement, address, prefix length, status.
        56 => {
            let address = match bmc.address.ip() {
                IpAddr::V6(address) if set == 0 => address.octets(),
                _ => [0; 16],
            };
            let enabled = u8::from(address != [0; 16]) << 7;
            [&[set, enabled][..], &address, &[128, 0]].concat()
        }
        _ => return None,
    })
}
