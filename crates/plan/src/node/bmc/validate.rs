//! What a Node wants of its BMC, proved usable once.

use std::time::Duration;

use slipway_api::NodeSpec;
use slipway_api::container_service::Drift;
use slipway_api::node::{Approval, BmcEndpoint, BmcTls, CaRef, Manner, NodeBoot, Power, Reboot, Rotate};

use crate::Finding;
use crate::node::validate::{host_and_port, time};

/// How long a graceful power off may take when nothing is written.
pub const POWER_OFF_TIMEOUT: Duration = Duration::from_mins(5);

const ADDRESS: &str = "spec.bmc.address";
const FORMS: &str = "write redfish+https://host/redfish/v1/Systems/1, ipmi://host or manual";
/// RFC 8615 has no say in it: DSP0266 fixes the root of every Redfish service.
const SERVICE_ROOT: &str = "/redfish/v1";

/// What a Node wants of its BMC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Name of the Secret with the login; `None` for a manual one.
    pub secret: Option<String>,
    /// The request to try refused credentials again.
    pub retry: Option<String>,
    /// The request to change the password.
    pub rotate: Option<Rotate>,
    /// Power of the host; `None` leaves it.
    pub power: Option<Power>,
    /// How it is powered off.
    pub manner: Manner,
    /// How long a graceful power off may take.
    pub off_timeout: Duration,
    /// Whether the power is taken away after that.
    pub then_force: bool,
    /// From what it starts; `None` leaves it.
    pub boot: Option<NodeBoot>,
    /// The request to restart.
    pub reboot: Option<Reboot>,
    /// URL of the image in the virtual drive.
    pub media: Option<String>,
    /// What to do about another power than the one that was reached.
    pub power_drift: Drift,
    /// What to do about another persistent boot device than the one that was set.
    pub boot_drift: Drift,
    /// Which plans wait.
    pub approval: Approval,
    /// Hash of the plan that may be carried out.
    pub approved: Option<String>,
}

/// Where a BMC is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Redfish.
    Redfish {
        /// `https://host:port` or `http://host:port`.
        url: String,
        /// Path of the system; `None` for the only one.
        system: Option<String>,
        /// Which certificate is trusted.
        trust: Trust,
    },
    /// IPMI over LAN.
    Ipmi {
        /// Name or address, an IPv6 one without brackets.
        host: String,
        /// UDP port.
        port: u16,
        /// Lowest cipher suite.
        minimum_suite: u8,
    },
    /// A person.
    Manual,
}

/// Which certificate is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// What the system's roots vouch for.
    System,
    /// What a CA vouches for.
    Ca(CaRef),
    /// The one with this SHA-256: 64 lower-case hexadecimal digits.
    Pin(String),
    /// The first one that is seen.
    FirstUse,
    /// Any.
    Any,
}

/// What is wanted of the BMC, if the Node has one.
pub fn validate(spec: &NodeSpec, findings: &mut Vec<Finding>) -> Option<Wanted> {
    let Some(bmc) = &spec.bmc else {
        orphans(spec, findings);
        return None;
    };
    let before = findings.len();
    let endpoint = endpoint(bmc, findings);
    if endpoint == Some(Endpoint::Manual) {
        by_hand(spec, findings);
    } else if bmc.credentials.is_none() {
        let finding = Finding::error("CredentialsRequired", "spec.bmc.credentials", "a BMC wants to know who asks");
        findings.push(finding.hint("name the Secret with username and password in credentials.secretRef"));
    }
    let off = spec.power_off.clone().unwrap_or_default();
    let off_timeout = time(off.timeout.as_deref(), "spec.powerOff.timeout", POWER_OFF_TIMEOUT, findings);
    if let Some(media) = &spec.virtual_media {
        image(&media.image, findings);
    }
    let endpoint = endpoint.filter(|_| findings.len() == before)?;
    let drift = spec.drift.unwrap_or_default();
    Some(Wanted {
        endpoint,
        secret: bmc.credentials.as_ref().map(|credentials| credentials.secret_ref.name.clone()),
        retry: bmc.credentials.as_ref().and_then(|c| c.retry.as_ref().map(|retry| retry.requested_at.clone())),
        rotate: bmc.rotate.clone(),
        power: spec.power,
        manner: off.mode,
        off_timeout,
        then_force: off.then_force.unwrap_or(true),
        boot: spec.boot,
        reboot: spec.reboot.clone(),
        media: spec.virtual_media.as_ref().map(|media| media.image.clone()),
        power_drift: drift.power.unwrap_or_default(),
        boot_drift: drift.boot.unwrap_or_default(),
        approval: spec.approval.unwrap_or_default(),
        approved: spec.approved_plan.clone(),
    })
}

/// What only a BMC can do.
fn orphans(spec: &NodeSpec, findings: &mut Vec<Finding>) {
    let there = [
        ("power", spec.power.is_some()),
        ("powerOff", spec.power_off.is_some()),
        ("boot", spec.boot.is_some()),
        ("reboot", spec.reboot.is_some()),
        ("virtualMedia", spec.virtual_media.is_some()),
    ];
    // Its Design may say how it is reached.
    let may_be_told = spec.design.design_ref.is_some();
    for (field, _) in there.iter().filter(|(_, there)| *there && !may_be_told) {
        let finding = Finding::error("BmcRequired", format!("spec.{field}"), format!("{field} needs a BMC"));
        findings.push(finding.hint("say in spec.bmc how it is reached, if only `manual`"));
    }
}

/// What a person with a screwdriver cannot be told, or what nobody could see.
fn by_hand(spec: &NodeSpec, findings: &mut Vec<Finding>) {
    for (field, there) in [("boot", spec.boot.is_some()), ("virtualMedia", spec.virtual_media.is_some())] {
        if there {
            let message = format!("{field} needs a BMC that can be asked; this one is manual");
            findings.push(Finding::error("BmcRequired", format!("spec.{field}"), message).hint("remove it"));
        }
    }
    // A host that its Design describes is there to be provisioned.
    if spec.docker.is_none() && spec.design.design_ref.is_none() {
        let message = "without docker nobody can see whether what a person was asked to do was done";
        findings.push(Finding::error("DockerRequired", "spec.docker", message).hint("add it, or a BMC's address"));
    }
}

fn endpoint(bmc: &BmcEndpoint, findings: &mut Vec<Finding>) -> Option<Endpoint> {
    let read = match bmc.address.split_once("://") {
        None if bmc.address == "manual" => Ok(Endpoint::Manual),
        Some(("ipmi", rest)) => host_and_port(rest, 623).map(|(host, port)| Endpoint::Ipmi {
            host,
            port,
            minimum_suite: bmc.minimum_suite.unwrap_or(3),
        }),
        Some(("redfish+https", rest)) => redfish("https", 443, rest, trust(bmc.tls.as_ref(), findings)?),
        Some(("redfish+http", rest)) => redfish("http", 80, rest, Trust::Any),
        Some((scheme @ ("https" | "http" | "redfish"), rest)) => {
            let secure = if scheme == "http" { "http" } else { "https" };
            Err(format!("`{scheme}` does not say what is spoken there; write redfish+{secure}://{rest}"))
        }
        Some((scheme, _)) => Err(format!("`{scheme}` is no scheme of a BMC")),
        None => Err(format!("`{}` has no scheme", bmc.address)),
    };
    unused(bmc, findings);
    read.map_err(|message| findings.push(Finding::error("EndpointInvalid", ADDRESS, message).hint(FORMS))).ok()
}

fn redfish(scheme: &str, port: u16, rest: &str, trust: Trust) -> Result<Endpoint, String> {
    if rest.contains('@') {
        return Err("a login has no place here; the Secret holds it".into());
    }
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let (host, port) = host_and_port(authority, port)?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let path = path.trim_end_matches('/');
    let system = match path {
        "" | SERVICE_ROOT => None,
        path if is_system(path) => Some(path.to_owned()),
        _ => return Err(format!("`{path:.200}` is not the path of a system, as {SERVICE_ROOT}/Systems/1 is")),
    };
    Ok(Endpoint::Redfish { url: format!("{scheme}://{host}:{port}"), system, trust })
}

/// `/redfish/v1/Systems/<id>`, and nothing that a server could read otherwise.
fn is_system(path: &str) -> bool {
    let id = path.strip_prefix("/redfish/v1/Systems/").unwrap_or_default();
    !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || "-._~:%".contains(c)) && id != "." && id != ".."
}

fn trust(tls: Option<&BmcTls>, findings: &mut Vec<Finding>) -> Option<Trust> {
    let Some(tls) = tls else { return Some(Trust::System) };
    let mut named = Vec::new();
    named.extend(tls.ca_ref.clone().map(Trust::Ca));
    if let Some(pin) = &tls.pin_sha256 {
        let digits = pin.replace(':', "").to_ascii_lowercase();
        if digits.len() != 64 || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            let message = "a SHA-256 has 64 hexadecimal digits";
            findings.push(Finding::error("PinInvalid", "spec.bmc.tls.pinSha256", message));
            return None;
        }
        named.push(Trust::Pin(digits));
    }
    named.extend(tls.trust_on_first_use.then_some(Trust::FirstUse));
    named.extend(tls.insecure_skip_verify.then_some(Trust::Any));
    if named.len() != 1 {
        let message = "exactly one of caRef, pinSha256, trustOnFirstUse and insecureSkipVerify is required";
        findings.push(Finding::error("TlsInvalid", "spec.bmc.tls", message));
        return None;
    }
    named.pop()
}

/// What has no effect would look as if it had.
fn unused(bmc: &BmcEndpoint, findings: &mut Vec<Finding>) {
    let mut refuse = |field: &str, of: &str| {
        let message = format!("{field} is for {of}; it has no effect on {}", bmc.address);
        findings.push(Finding::error("CredentialsUnused", format!("spec.bmc.{field}"), message).hint("remove it"));
    };
    if bmc.tls.is_some() && !bmc.address.starts_with("redfish+https://") {
        refuse("tls", "redfish+https://");
    }
    if bmc.minimum_suite.is_some() && !bmc.address.starts_with("ipmi://") {
        refuse("minimumSuite", "ipmi://");
    }
    if bmc.credentials.is_some() && bmc.address == "manual" {
        refuse("credentials", "a BMC that can be asked");
    }
    if bmc.rotate.is_some() && bmc.credentials.is_none() {
        refuse("rotate", "a BMC with credentials");
    }
    if bmc.minimum_suite.is_some_and(|suite| suite != 3 && suite != 17) {
        findings.push(Finding::error("SuiteInvalid", "spec.bmc.minimumSuite", "the cipher suites are 3 and 17"));
    }
}

fn image(url: &str, findings: &mut Vec<Finding>) {
    let path = "spec.virtualMedia.image";
    let authority = url.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
    match authority {
        None | Some("") => {
            let finding = Finding::error("ImageInvalid", path, format!("`{url:.200}` is no URL"));
            findings.push(finding.hint("write http://server/image.iso"));
        }
        Some(authority) if authority.contains('@') => {
            let message = "a login in a URL would be read by everybody who may read this object";
            findings.push(Finding::error("ImageInvalid", path, message).hint("serve the image without one"));
        }
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: &str = ", credentials: {secretRef: {name: s}}";

    fn of(bmc: &str, more: &str) -> Result<Wanted, Vec<(&'static str, String)>> {
        let spec: NodeSpec = serde_saphyr::from_str(&format!("bmc: {{{bmc}}}\n{more}")).unwrap();
        crate::node::validate(&spec)
            .map(|valid| valid.bmc.unwrap())
            .map_err(|findings| findings.into_iter().map(|finding| (finding.code, finding.path)).collect())
    }

    fn endpoint_of(address: &str, more: &str) -> Endpoint {
        of(&format!("address: \"{address}\"{LOGIN}{more}"), "").unwrap().endpoint
    }

    #[test]
    fn what_people_write() {
        let ipmi = |host: &str, port, minimum_suite| Endpoint::Ipmi { host: host.into(), port, minimum_suite };
        assert_eq!(endpoint_of("ipmi://10.0.0.20", ""), ipmi("10.0.0.20", 623, 3));
        assert_eq!(endpoint_of("ipmi://[fd00::1]:9001", ", minimumSuite: 17"), ipmi("fd00::1", 9001, 17));
        let redfish = |url: &str, system: Option<&str>, trust| Endpoint::Redfish {
            url: url.into(),
            system: system.map(str::to_owned),
            trust,
        };
        let first = "/redfish/v1/Systems/1";
        assert_eq!(
            endpoint_of("redfish+https://n20.bmc/redfish/v1/Systems/1", ", tls: {trustOnFirstUse: true}"),
            redfish("https://n20.bmc:443", Some(first), Trust::FirstUse)
        );
        assert_eq!(endpoint_of("redfish+https://[::1]:8443", ""), redfish("https://[::1]:8443", None, Trust::System));
        assert_eq!(endpoint_of("redfish+http://h/redfish/v1/", ""), redfish("http://h:80", None, Trust::Any));
        let pin = "AB:".repeat(31) + "CD";
        assert_eq!(
            endpoint_of("redfish+https://h", &format!(", tls: {{pinSha256: \"{pin}\"}}")),
            redfish("https://h:443", None, Trust::Pin("ab".repeat(31) + "cd"))
        );
    }

    #[test]
    fn what_cannot_be_used() {
        for (bmc, more, code, path) in [
            ("address: n20", "", "EndpointInvalid", "spec.bmc.address"),
            ("address: \"https://n20\"", "", "EndpointInvalid", "spec.bmc.address"),
            ("address: \"ipmi://fd00::1\"", "", "EndpointInvalid", "spec.bmc.address"),
            ("address: \"redfish+http://root:pw@h\"", "", "EndpointInvalid", "spec.bmc.address"),
            ("address: \"redfish+http://h/redfish/v1/Chassis/1\"", "", "EndpointInvalid", "spec.bmc.address"),
            ("address: \"redfish+http://h/redfish/v1/Systems/../x\"", "", "EndpointInvalid", "spec.bmc.address"),
            ("address: \"ipmi://h\", tls: {trustOnFirstUse: true}", "", "CredentialsUnused", "spec.bmc.tls"),
            ("address: \"redfish+https://h\", tls: {}", "", "TlsInvalid", "spec.bmc.tls"),
            ("address: \"redfish+http://h\", minimumSuite: 17", "", "CredentialsUnused", "spec.bmc.minimumSuite"),
            ("address: \"ipmi://h\", minimumSuite: 2", "", "SuiteInvalid", "spec.bmc.minimumSuite"),
            ("address: \"ipmi://h\"", "powerOff: {timeout: soon}", "DurationInvalid", "spec.powerOff.timeout"),
            ("address: \"ipmi://h\"", "virtualMedia: {image: boot.iso}", "ImageInvalid", "spec.virtualMedia.image"),
            (
                "address: \"ipmi://h\"",
                "virtualMedia: {image: \"http://me:pw@h/boot.iso\"}",
                "ImageInvalid",
                "spec.virtualMedia.image",
            ),
        ] {
            let wrong = of(&format!("{bmc}{LOGIN}"), more).unwrap_err();
            assert_eq!(wrong, [(code, path.to_owned())], "{bmc} {more}");
        }
        assert_eq!(of("address: \"ipmi://h\"", "").unwrap_err()[0].0, "CredentialsRequired");
    }

    #[test]
    fn a_person_needs_no_login_but_somebody_who_sees() {
        let docker = "docker: {endpoint: unix:///d.sock}\n";
        assert_eq!(of("address: manual", &format!("{docker}power: \"On\"")).unwrap().endpoint, Endpoint::Manual);
        assert_eq!(of("address: manual", "").unwrap_err()[0].0, "DockerRequired");
        assert!(of("address: manual", "designRef: {name: lab}").is_ok(), "what the importer writes");
        let boot = format!("{docker}boot: {{device: Pxe}}");
        assert_eq!(of("address: manual", &boot).unwrap_err(), [("BmcRequired", "spec.boot".to_owned())]);
        let login = of(&format!("address: manual{LOGIN}"), docker).unwrap_err();
        assert_eq!(login, [("CredentialsUnused", "spec.bmc.credentials".to_owned())]);
    }

    #[test]
    fn what_only_a_bmc_can_do_needs_one() {
        let spec: NodeSpec = serde_saphyr::from_str("docker: {endpoint: unix:///d.sock}\npower: \"On\"").unwrap();
        let findings = crate::node::validate(&spec).unwrap_err();
        assert_eq!((findings[0].code, &*findings[0].path), ("BmcRequired", "spec.power"));
        let spec: NodeSpec = serde_saphyr::from_str("designRef: {name: lab}\npower: \"On\"").unwrap();
        assert!(crate::node::validate(&spec).is_ok(), "its Design may say how it is reached");
        assert_eq!(crate::node::validate(&NodeSpec::default()).unwrap_err()[0].code, "NoWayToHost");
    }
}
