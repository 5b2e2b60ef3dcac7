//! What a Node is told of its model: its hash, how its BMC is reached, and what of it nothing applies yet.

use std::fmt::Write as _;
use std::net::IpAddr;

use sha2::{Digest, Sha256};
use slipway_api::design::OutOfBandType;
use slipway_api::node::{BmcCredentials, BmcEndpoint};
use slipway_api::refs::LocalRef;

use super::model::NodeModel;

/// Hexadecimal digits of a hash: enough that two models are not taken for one by chance.
const DIGITS: usize = 16;
/// Boot actions that are named.
const NAMED_ACTIONS: usize = 3;

/// What a Node is told of its model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Hash of the model.
    pub hash: String,
    /// The BMC, by the model's out-of-band management; one that the Node names itself comes first.
    pub bmc: Option<BmcEndpoint>,
    /// Parts that nothing applies yet, on one line.
    pub not_applied: Option<String>,
}

impl Told {
    /// What the Node of this model is told.
    pub fn of(model: &NodeModel) -> Self {
        let bmc = bmc(model);
        let not_applied = not_applied(model, bmc.is_some());
        Self { hash: hash(model), bmc, not_applied }
    }
}

fn hash(model: &NodeModel) -> String {
    let json = serde_json::to_vec(model).unwrap_or_default();
    Sha256::digest(&json)[..DIGITS / 2].iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The address of the Node on the out-of-band network, by the protocol of its type.
fn bmc(model: &NodeModel) -> Option<BmcEndpoint> {
    let oob = &model.out_of_band;
    let scheme = match oob.type_.as_ref()?.value {
        OutOfBandType::Ipmi => "ipmi",
        OutOfBandType::Redfish => "redfish+https",
        OutOfBandType::Manual => return Some(endpoint("manual".into(), None)),
        OutOfBandType::Libvirt | OutOfBandType::None => return None,
    };
    let host = match model.out_of_band_address? {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let name = oob.credentials.as_ref()?.value.to_string();
    let credentials = BmcCredentials { secret_ref: LocalRef { name }, retry: None };
    Some(endpoint(format!("{scheme}://{host}"), Some(credentials)))
}

fn endpoint(address: String, credentials: Option<BmcCredentials>) -> BmcEndpoint {
    BmcEndpoint { address, credentials, tls: None, minimum_suite: None, rotate: None }
}

/// Everything that a provisioner would do to the machine. There is none yet, whatever the Design's `maas` says.
fn not_applied(model: &NodeModel, has_bmc: bool) -> Option<String> {
    let interfaces = &model.network.interfaces;
    let mut parts: Vec<String> = Vec::new();
    let mut part = |is_there: bool, name: &str| {
        if is_there {
            parts.push(name.to_owned());
        }
    };
    part(!interfaces.is_empty(), "interfaces");
    part(interfaces.iter().any(|interface| interface.bonding.is_some()), "bonding");
    part(!model.network.routes.is_empty() || model.network.gateway.is_some(), "routes");
    part(!model.storage.disks.is_empty() || !model.storage.volume_groups.is_empty(), "storage");
    let platform = &model.platform;
    part(platform.image.is_some() || platform.kernel.is_some() || !platform.kernel_params.is_empty(), "platform");
    let metadata = &model.metadata;
    part(!metadata.tags.is_empty() || !metadata.owner_data.is_empty(), "tags and owner data");
    let managed_otherwise = matches!(&model.out_of_band.type_, Some(type_) if type_.value == OutOfBandType::Libvirt);
    part(managed_otherwise && !has_bmc, "out-of-band management by libvirt");
    if !model.boot_actions.is_empty() {
        parts.push(boot_actions(&model.boot_actions));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn boot_actions(names: &[super::Text]) -> String {
    let shown: Vec<String> = names.iter().take(NAMED_ACTIONS).map(|name| format!("{:.40}", &**name)).collect();
    let more = names.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("boot actions ({}{more})", shown.join(", "))
}
