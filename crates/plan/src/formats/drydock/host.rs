//! `HostProfile` and `BaremetalNode`, which have nearly all in common.

use std::collections::BTreeMap;

use serde_json::Value;
use slipway_api::design::{
    Address, HostProfile, Interface, KernelParam, Metadata, OutOfBand, OutOfBandType, Platform, Sriov,
};

use super::documents::Kind;
use super::read::{Field, Fields, Scope};
use super::secrets::{Login, is_secret, without_login};
use super::storage::storage;
use crate::design::rules::Check;
use crate::finding::Finding;
use crate::formats::yaml::{Kind as YamlKind, Location};

/// A host profile or a node.
pub(super) struct Host {
    /// `Kind/name` of the document.
    pub(super) title: String,
    /// Where its name stands.
    pub(super) file: String,
    pub(super) at: Location,
    /// Key of the body.
    pub(super) body: &'static str,
    /// The document's metadata.
    pub(super) document: Value,
    /// What it says. A node's parent is in `extends`.
    pub(super) profile: HostProfile,
    /// What it says of the login at its BMC.
    pub(super) login: Login,
    /// Of a node.
    pub(super) addressing: Vec<Address>,
    /// Of a node.
    pub(super) boot_mac: Option<String>,
}

/// Reads a `HostProfile`.
pub(super) fn profile<'a>(scope: &Scope<'a>, fields: Fields<'a>, name: String) -> Host {
    let (mut host, boot_mac) = common(scope, &fields, name);
    if let Some(field) = boot_mac {
        scope.no_place(&field, "hosts of a profile cannot have one address, and drydock ignores it");
    }
    fields.close(scope);
    host.boot_mac = None;
    host
}

/// Reads a `BaremetalNode`.
pub(super) fn node<'a>(scope: &Scope<'a>, fields: Fields<'a>, name: String) -> Host {
    let (mut host, boot_mac) = common(scope, &fields, name);
    host.boot_mac = boot_mac.and_then(|field| scope.filled(&field, scope.text(&field)?));
    let addresses = fields.list(scope, "addressing");
    if addresses.is_empty() {
        scope.missing(&fields, "addressing");
    }
    host.addressing = addresses.into_iter().filter_map(|field| address(scope, &field)).collect();
    if host.profile.extends.is_none() && host.profile.hardware_profile.is_none() {
        scope.missing(&fields, "hardware_profile");
    }
    host_name(scope);
    fields.close(scope);
    host
}

/// The rule about names of hosts, which has to be applied before they are changed.
fn host_name(scope: &Scope<'_>) {
    let rule = Check::FqdnLabel.rule();
    let is_label =
        |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if let Some(label) = scope.name().split('.').find(|label| !is_label(label)) {
        let message = format!("`{label:.80}` in {:.260} is no label of a DNS name", scope.name());
        let finding = Finding::error(rule.code, "metadata.name", message).hint(rule.hint);
        scope.about_name(Finding { rule: Some(rule.name), ..finding });
    }
}

fn address<'a>(scope: &Scope<'a>, field: &Field<'a>) -> Option<Address> {
    let fields = scope.fields(field.clone())?;
    let network = fields.reference(scope, "network", Kind::Network);
    let address = fields.get("address").and_then(|field| scope.text(&field));
    for (key, is_missing) in [("network", network.is_none()), ("address", address.is_none())] {
        if is_missing && fields.get(key).is_none() {
            scope.missing(&fields, key);
        }
    }
    let address = address.filter(|address| {
        if address.is_empty() {
            scope.error(field, "the address is empty");
        }
        !address.is_empty()
    });
    fields.open(scope);
    Some(Address { network: network?, address: address? })
}

/// What both kinds have, and the field of the MAC address.
fn common<'a>(scope: &Scope<'a>, fields: &Fields<'a>, name: String) -> (Host, Option<Field<'a>>) {
    let (out_of_band, login) = match fields.map(scope, "oob") {
        Some(oob) => out_of_band(scope, &oob),
        None => (None, Login::default()),
    };
    let interfaces = fields.map(scope, "interfaces").map(|interfaces| interfaces.all()).unwrap_or_default();
    let metadata = fields.map(scope, "metadata");
    let rack = metadata.as_ref().and_then(|metadata| metadata.reference(scope, "rack", Kind::Rack));
    let boot_mac = metadata.as_ref().and_then(|metadata| metadata.get("boot_mac"));
    let has_parent = fields.get("host_profile").is_some();
    let profile = HostProfile {
        name,
        extends: fields.reference(scope, "host_profile", Kind::HostProfile),
        hardware_profile: fields.reference(scope, "hardware_profile", Kind::HardwareProfile),
        primary_network: fields.reference(scope, "primary_network", Kind::Network),
        rack,
        out_of_band,
        interfaces: interfaces.into_iter().filter_map(|(name, field)| interface(scope, name, field)).collect(),
        storage: fields.map(scope, "storage").map(|found| storage(scope, found, has_parent)),
        platform: fields.map(scope, "platform").map(|fields| platform(scope, fields)),
        metadata: metadata.map(|metadata| tags_and_data(scope, metadata)).filter(|found| *found != Metadata::default()),
    };
    let host = Host {
        title: scope.title(),
        file: scope.file().to_owned(),
        at: scope.at(),
        body: scope.body_key(),
        document: scope.metadata(),
        profile,
        login,
        addressing: Vec::new(),
        boot_mac: None,
    };
    (host, boot_mac)
}

/// All but the type is one map in drydock, and each of its keys can be taken away by `!key`.
fn out_of_band<'a>(scope: &Scope<'a>, fields: &Fields<'a>) -> (Option<OutOfBand>, Login) {
    let protocols = [
        ("ipmi", OutOfBandType::Ipmi),
        ("redfish", OutOfBandType::Redfish),
        ("libvirt", OutOfBandType::Libvirt),
        ("manual", OutOfBandType::Manual),
        ("!", OutOfBandType::None),
    ];
    let type_ = fields.get("type").and_then(|field| {
        let text = scope.inheritable(&field)?;
        if text == "!" { Some(OutOfBandType::None) } else { scope.model_word(&field, &protocols) }
    });
    let removal = |key| fields.get(key).map(|_| "!".to_owned());
    let network = fields.reference(scope, "network", Kind::Network).or_else(|| removal("!network"));
    let libvirt_uri = fields.get("libvirt_uri").and_then(|field| {
        let text = scope.any_text(&field)?;
        Some(without_login(scope, &field, &text))
    });
    let mut login = Login {
        account: fields.get("account").and_then(|field| scope.text(&field)).or_else(|| removal("!account")),
        credential: fields.get("credential").and_then(|field| scope.text(&field)).or_else(|| removal("!credential")),
        others: BTreeMap::new(),
    };
    if let Some(field) = fields.get("credential").filter(|_| login.credential.is_some()) {
        scope.secret_moved(
            &field,
            "the BMC's login is in a Secret now; choose a new password, as this one was in a file",
        );
    }
    let libvirt_uri = libvirt_uri.or_else(|| removal("!libvirt_uri"));
    let mut parameters = BTreeMap::new();
    for (key, field) in fields.rest() {
        let Some(text) = scope.any_text(&field) else { continue };
        if is_secret(key) && !key.starts_with('!') {
            scope.secret_moved(&field, "looks secret, so it is in the Secret of the BMC's login now");
            login.others.insert(key.to_owned(), text);
        } else {
            parameters.insert(key.to_owned(), text);
        }
    }
    let found = OutOfBand { type_, network, credentials: None, libvirt_uri, parameters };
    ((found != OutOfBand::default()).then_some(found), login)
}

/// Without content an interface is taken away, as drydock's documentation says and its schema forbids.
fn interface<'a>(scope: &Scope<'a>, name: &str, field: Field<'a>) -> Option<Interface> {
    if field.is_null() {
        let name = format!("!{}", name.trim_start_matches('!'));
        scope.rewritten(
            &field,
            format!("without content the interface is taken away, which is written `{name:.100}` now"),
        );
        return Some(Interface { name, ..Interface::default() });
    }
    let fields = scope.fields(field)?;
    let interface = Interface {
        name: name.to_owned(),
        link: fields.reference(scope, "device_link", Kind::NetworkLink),
        slaves: fields.texts(scope, "slaves"),
        networks: fields.references(scope, "networks", Kind::Network),
        sriov: fields.get("sriov").and_then(|field| sriov(scope, field)),
    };
    fields.open(scope);
    Some(interface)
}

/// The schema says `trustmode` and the ingester reads `trustedmode`; both are taken, the latter first.
fn sriov<'a>(scope: &Scope<'a>, field: Field<'a>) -> Option<Sriov> {
    let fields = scope.fields(field)?;
    let read = fields.get("trustedmode");
    let documented = fields.get("trustmode");
    if let (Some(_), Some(documented)) = (&read, &documented) {
        scope.no_place(documented, "trustedmode says it already");
    }
    let sriov = Sriov {
        vf_count: fields.number(scope, "vf_count"),
        trusted: read.or(documented).and_then(|field| scope.flag(&field)),
    };
    fields.open(scope);
    Some(sriov)
}

fn platform<'a>(scope: &Scope<'a>, fields: Fields<'a>) -> Platform {
    let params = fields.map(scope, "kernel_params").map(|params| params.all()).unwrap_or_default();
    let platform = Platform {
        image: fields.inheritable(scope, "image"),
        kernel: fields.inheritable(scope, "kernel"),
        kernel_params: params.into_iter().filter_map(|(name, field)| kernel_param(scope, name, &field)).collect(),
    };
    fields.close(scope);
    platform
}

/// Drydock writes values as Python does: `true` becomes a flag, and `false` the text `False`.
fn kernel_param(scope: &Scope<'_>, name: &str, field: &Field<'_>) -> Option<KernelParam> {
    let name = name.to_owned();
    if name.starts_with('!') {
        return Some(KernelParam { name, value: None });
    }
    if field.is_null() {
        scope.error(field, "the kernel parameter has no value; for one without, write `true`");
        return None;
    }
    let value = scope.any_text(field)?;
    if matches!(field.node.kind, YamlKind::Bool(false)) {
        scope.rewritten(
            field,
            format!("drydock writes `{name:.100}=False`, and so it stays; to leave it out, remove it"),
        );
    }
    Some(KernelParam { name, value: (value != "True").then_some(value) })
}

fn tags_and_data<'a>(scope: &Scope<'a>, fields: Fields<'a>) -> Metadata {
    let metadata = Metadata {
        tags: fields.texts(scope, "tags"),
        owner_data: fields.get("owner_data").map(|field| scope.pairs(field)).unwrap_or_default(),
        labels: BTreeMap::new(),
    };
    // Read before, as they are no metadata of ours.
    let _ = (fields.get("rack"), fields.get("boot_mac"));
    fields.close(scope);
    metadata
}
