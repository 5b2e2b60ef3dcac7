//! The objects, and their YAML.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use slipway_api::design::{NodeDesign, OutOfBandCredentials, OutOfBandType};
use slipway_api::refs::LocalRef;

use super::documents::{Envelope, Kind};
use super::host::Host;
use super::read::Told;
use super::secrets::{LoginSecret, Logins};
use super::{Options, Site, codes};
use crate::design::rules::Check;
use crate::finding::Finding;
use crate::formats::yaml;

/// Annotation with the metadata of drydock's documents, as JSON: of a Node's document, or of all others by `Kind/name`.
const METADATA: &str = "drydock.slipway.dev/metadata";
/// Annotation with what has no place, as JSON by field path; in a Design by `Kind/name` first.
const NO_PLACE: &str = "drydock.slipway.dev/no-place";
/// Annotation with the name of the ConfigMap that holds the two where they are large.
const KEPT_IN: &str = "drydock.slipway.dev/kept-in-config-map";
/// Bytes that an annotation may have here; an API server takes 256 KiB for all annotations of an object.
const ANNOTATION: usize = 64 << 10;

/// One object to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The object as YAML.
    pub yaml: String,
}

impl Manifest {
    /// Name of the file that it belongs in.
    pub fn file_name(&self) -> String {
        format!("{}-{}.yaml", self.kind.to_ascii_lowercase(), self.name)
    }

    /// Whether only its owner may read the file.
    pub fn is_secret(&self) -> bool {
        self.kind == "Secret"
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a, B: Serialize> {
    api_version: &'a str,
    kind: &'a str,
    metadata: ObjectMetadata<'a>,
    #[serde(flatten)]
    body: B,
}

#[derive(Serialize)]
struct ObjectMetadata<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct Spec<S: Serialize> {
    spec: S,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StringData {
    string_data: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Data {
    data: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct NodeSpec {
    #[serde(flatten)]
    design: NodeDesign,
    #[serde(skip_serializing_if = "Option::is_none")]
    bmc: Option<Bmc>,
}

#[derive(Serialize)]
struct Bmc {
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<OutOfBandCredentials>,
}

/// Writes objects, and tells of those that cannot be written.
struct Writer<'a> {
    namespace: Option<&'a str>,
    told: &'a Told,
    manifests: Vec<Manifest>,
}

impl Writer<'_> {
    fn add<B: Serialize>(
        &mut self,
        kind: &'static str,
        name: &str,
        annotations: BTreeMap<&'static str, String>,
        body: B,
    ) {
        let version = format!("{}/{}", slipway_api::GROUP, slipway_api::VERSION);
        let api_version = if matches!(kind, "Secret" | "ConfigMap") { "v1" } else { version.as_str() };
        let metadata = ObjectMetadata { name, namespace: self.namespace, annotations };
        match yaml::write(&Object { api_version, kind, metadata, body }) {
            Ok(yaml) => self.manifests.push(Manifest { kind, name: name.to_owned(), yaml }),
            Err(reason) => {
                let message = format!("{kind} {name} cannot be written: {reason}");
                self.told.push("", None, None, Finding::error(codes::DOCUMENT, "", message));
            }
        }
    }
}

/// All objects of a site.
pub(super) fn manifests(site: Site, envelopes: &[Envelope<'_>], options: &Options, told: &Told) -> Vec<Manifest> {
    if envelopes.is_empty() {
        return Vec::new();
    }
    let mut writer = Writer { namespace: options.namespace.as_deref(), told, manifests: Vec::new() };
    let Site { name, mut spec, profiles, nodes } = site;
    let logins = Logins::new(&profiles, &nodes);
    for node in &nodes {
        incomplete_login(node, &logins, told);
    }
    let own: Vec<Option<LoginSecret>> = profiles.iter().map(|host| logins.own(host)).collect();
    spec.host_profiles =
        profiles.iter().zip(&own).map(|(host, own)| with_login(host, own.as_ref()).profile()).collect();
    let mut no_place = told.take_no_place();
    let in_nodes: Vec<_> = nodes.iter().map(|node| no_place.remove(&node.title).unwrap_or_default()).collect();
    let documents = envelopes.iter().filter(|envelope| envelope.kind != Kind::BaremetalNode);
    let kept = Kept::new(&name, metadata_of(documents), json(&no_place));
    writer.add("Design", &name, kept.annotations, Spec { spec });
    if let Some(data) = kept.config_map {
        writer.add("ConfigMap", &format!("{name}-drydock"), BTreeMap::new(), Data { data });
    }
    let others = told.take_secrets();
    if !others.is_empty() {
        writer.add("Secret", &format!("{name}-drydock"), BTreeMap::new(), StringData { string_data: others });
    }
    for secret in own.into_iter().flatten().filter(|secret| !secret.data.is_empty()) {
        writer.add("Secret", &secret.name, BTreeMap::new(), StringData { string_data: secret.data });
    }
    for (host, no_place) in nodes.iter().zip(in_nodes) {
        let own = logins.own(host);
        let mut annotations = BTreeMap::from([(METADATA, host.document.to_string())]);
        if !no_place.is_empty() {
            annotations.insert(NO_PLACE, json(&no_place));
        }
        let spec = NodeSpec { bmc: bmc(host, &logins), design: with_login(host, own.as_ref()).node(&name) };
        writer.add("Node", &host.profile.name, annotations, Spec { spec });
        if let Some(secret) = own.filter(|secret| !secret.data.is_empty()) {
            writer.add("Secret", &secret.name, BTreeMap::new(), StringData { string_data: secret.data });
        }
    }
    writer.manifests
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The metadata of documents by `Kind/name`; a second one of the same name has its number.
fn metadata_of<'a>(documents: impl Iterator<Item = &'a Envelope<'a>>) -> String {
    let mut metadata: BTreeMap<String, Value> = BTreeMap::new();
    for document in documents {
        let title = document.title();
        let numbered = |number: usize| if number == 1 { title.clone() } else { format!("{title} ({number})") };
        let key = (1..=metadata.len() + 1).map(numbered).find(|key| !metadata.contains_key(key)).unwrap_or_default();
        metadata.insert(key, document.metadata.map(yaml::Node::to_value).unwrap_or_default());
    }
    json(&metadata)
}

/// What is kept beside the Design's spec: in its annotations, or in a ConfigMap where it is large.
struct Kept {
    annotations: BTreeMap<&'static str, String>,
    config_map: Option<BTreeMap<String, String>>,
}

impl Kept {
    fn new(design: &str, metadata: String, no_place: String) -> Self {
        let parts = [(METADATA, "metadata.json", metadata), (NO_PLACE, "no-place.json", no_place)];
        let parts = parts.into_iter().filter(|(_, _, text)| text != "{}");
        if parts.clone().map(|(_, _, text)| text.len()).sum::<usize>() <= ANNOTATION {
            return Self { annotations: parts.map(|(key, _, text)| (key, text)).collect(), config_map: None };
        }
        let data = parts.map(|(_, key, text)| (key.to_owned(), text)).collect();
        Self { annotations: BTreeMap::from([(KEPT_IN, format!("{design}-drydock"))]), config_map: Some(data) }
    }
}

/// A host with the Secret of its login.
struct WithLogin<'a> {
    host: &'a Host,
    credentials: Option<OutOfBandCredentials>,
}

fn with_login<'a>(host: &'a Host, own: Option<&LoginSecret>) -> WithLogin<'a> {
    // A login of which everything was taken away is none, and says so to its children.
    let name = own.map(|secret| if secret.data.is_empty() { "!".to_owned() } else { secret.name.clone() });
    WithLogin { host, credentials: name.map(|name| OutOfBandCredentials { secret_ref: LocalRef { name } }) }
}

impl WithLogin<'_> {
    fn profile(self) -> slipway_api::design::HostProfile {
        let mut profile = self.host.profile.clone();
        if self.credentials.is_some() {
            profile.out_of_band.get_or_insert_default().credentials = self.credentials;
        }
        profile
    }

    fn node(self, design: &str) -> NodeDesign {
        let host = self.host;
        let profile = self.profile();
        NodeDesign {
            design_ref: Some(LocalRef { name: design.to_owned() }),
            host_profile: profile.extends,
            hardware_profile: profile.hardware_profile,
            primary_network: profile.primary_network,
            rack: profile.rack,
            addressing: host.addressing.clone(),
            boot_mac: host.boot_mac.clone(),
            out_of_band: profile.out_of_band,
            interfaces: profile.interfaces,
            storage: profile.storage,
            platform: profile.platform,
            metadata: profile.metadata,
        }
    }
}

/// The rules about logins, which nothing but the importer can apply: what is in a Secret is not a part of the site.
/// Where there is no login at all, the rules find that themselves.
fn incomplete_login(host: &Host, logins: &Logins<'_>, told: &Told) {
    let type_ = logins.chain(host).iter().find_map(|host| host.profile.out_of_band.as_ref()?.type_);
    let check = match type_ {
        Some(OutOfBandType::Ipmi) => Check::IpmiIncomplete,
        Some(OutOfBandType::Redfish) => Check::RedfishIncomplete,
        _ => return,
    };
    let Some(login) = logins.effective(host) else { return };
    for (key, field) in [("username", "account"), ("password", "credential")] {
        if login.data.get(key).is_none_or(String::is_empty) {
            let (rule, message) = (check.rule(), format!("there is no `{field}` for the BMC"));
            let finding = Finding::error(rule.code, format!("{}.oob", host.body), message);
            let finding = Finding { rule: Some(rule.name), ..finding.hint(format!("set oob.{field}")) };
            told.push(&host.file, Some(host.at), Some(host.title.clone()), finding);
        }
    }
}

/// The BMC that drydock would talk to: the address of the node on the out-of-band network, by the protocol of its type.
fn bmc(host: &Host, logins: &Logins<'_>) -> Option<Bmc> {
    let chain = logins.chain(host);
    let out_of_band = || chain.iter().filter_map(|host| host.profile.out_of_band.as_ref());
    let type_ = out_of_band().find_map(|found| found.type_)?;
    let scheme = match type_ {
        OutOfBandType::Ipmi => "ipmi",
        OutOfBandType::Redfish => "redfish+https",
        OutOfBandType::Manual => return Some(Bmc { address: "manual".to_owned(), credentials: None }),
        OutOfBandType::Libvirt | OutOfBandType::None => return None,
    };
    let network = out_of_band().find_map(|found| found.network.as_ref())?;
    let address = host.addressing.iter().find(|address| address.network == *network)?;
    let address = match address.address.parse().ok()? {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    };
    let name = logins.effective(host)?.name;
    let credentials = Some(OutOfBandCredentials { secret_ref: LocalRef { name } });
    Some(Bmc { address: format!("{scheme}://{address}"), credentials })
}
