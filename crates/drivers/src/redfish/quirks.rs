//! In what BMCs differ from the specification or from each other, and what is done about it: one table, each row with its source.

/// What a row makes the driver do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Whoever has this quirk gets it anyway: it harms no other BMC.
    Always,
    /// `Cd` is asked for as `UsbCd`.
    CdIsUsbCd,
    /// The boot mode is written with every override, changed or not.
    ModeAlways,
    /// The serial number on the case is in `SKU`.
    SerialIsSku,
    /// `$expand` is not used.
    NoExpand,
}

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quirk {
    /// What is done about it.
    pub behaviour: Behaviour,
    /// Whose it is: a word of the vendor's name, lower case. Empty: many.
    pub vendor: &'static str,
    /// Models that do not have it, lower case.
    pub except: &'static [&'static str],
    /// What is different, and what is done about it.
    pub what: &'static str,
    /// Where it was seen.
    pub source: &'static str,
}

const fn always(what: &'static str, source: &'static str) -> Quirk {
    Quirk { behaviour: Behaviour::Always, vendor: "", except: &[], what, source }
}

/// The table.
pub const QUIRKS: &[Quirk] = &[
    Quirk {
        behaviour: Behaviour::CdIsUsbCd,
        vendor: "supermicro",
        except: &["ars-111gl-nhr"],
        what: "virtual media is a USB CD: booting from Cd finds nothing, so UsbCd is set where it is offered",
        source: "openstack/sushy sushy/resources/system/system.py, set_system_boot_options",
    },
    Quirk {
        behaviour: Behaviour::ModeAlways,
        vendor: "supermicro",
        except: &[],
        what: "an override without BootSourceOverrideMode falls back to the default mode, so the mode is always written",
        source: "DMTF/Redfishtool pull request 106",
    },
    Quirk {
        behaviour: Behaviour::SerialIsSku,
        vendor: "dell",
        except: &[],
        what: "SerialNumber is the board's; the service tag, which is on the case, is in SKU",
        source: "ansible/ansible issue 53461",
    },
    Quirk {
        behaviour: Behaviour::NoExpand,
        vendor: "ami",
        except: &[],
        what: "members lose properties under $expand, so each is read by itself",
        source: "NVIDIA/nv-redfish redfish/src/bmc_quirks.rs, expand_is_not_working_properly",
    },
    always(
        "what is large comes compressed though that was not asked for, or is refused with 406 (iLO 5 from 2.30): gzip is read, and asked for after a 406",
        "DMTF/Redfish-Mockup-Creator issues 56 and 58",
    ),
    always(
        "kept connections are dropped without a word: none is used again after 5 s, and a command gets one of its own",
        "openstack/sushy release note disable-conn-pooling",
    ),
    always(
        "compressed answers make ETags weak, which are then refused: no compression is offered",
        "openstack/sushy release note do-not-offer-compression-encoding",
    ),
    always(
        "PATCH without If-Match is refused with 428 (Lenovo) or 412 (Huawei): the ETag is sent wherever there is one",
        "ansible/ansible pull request 56150 and issue 60031",
    ),
    always(
        "PATCH with the very ETag that was read is refused with 412: tried as strong ETag, then without",
        "openstack/sushy sushy/connector.py, _etag_handler; ansible-collections/community.general pull request 3268",
    ),
    always(
        "actions with If-Match are refused with 412 (iDRAC): it is sent with PATCH alone",
        "ironcore-dev/metal-operator issue 1015",
    ),
    always(
        "the path of the sessions differs (iDRAC 7 and 8: /redfish/v1/Sessions): it is taken from the service root",
        "mrlhansen/idrac_exporter pull request 137; openstack/sushy release note use-sessions-url-from-root",
    ),
    always(
        "wrong credentials are answered with 400 in place of 401: a refused login is never tried again, whatever its status",
        "DMTF/Redfish-Service-Validator issue 191",
    ),
    always(
        "there is no SessionService, or its POST is not made: Basic authentication",
        "openstack/sushy release note bug-1754514; sushy-tools 2.2.0",
    ),
    always(
        "sessions that are not closed use up the slots for half an hour (iDRAC RAC0218): one session, closed in the end",
        "bb-Ricardo/check_redfish issue 89 and pull request 198",
    ),
    always(
        "BootSourceOverrideEnabled never reads back Once: it is set once and not compared",
        "openstack/sushy-tools sushy_tools/emulator/templates/system.json",
    ),
    always(
        "overrides are written to the @Redfish.Settings resource where it has them (Nokia, AMI, iDRAC 10)",
        "openstack/sushy release notes use-settingsobject-if-supported, check-for-boot-attrs-in-settingsuri and \
         idrac10-settings-resource; DMTF/Redfish-Tacklebox issue 144",
    ),
    always(
        "BootSourceOverrideMode is read-only or not there: it is written only where it is there and differs",
        "ironcore-dev/metal-operator issue 608",
    ),
    always(
        "InsertMedia refuses Inserted and WriteProtected (Supermicro X11, X12): Image alone is sent",
        "openstack/sushy release note fix-insert-media-payload",
    ),
    always(
        "InsertMedia wants TransferProtocolType (Nokia) or TransferMethod: added when the BMC asks for it",
        "openstack/sushy release notes retry-if-transferprototype-missing and handle_transfer_method",
    ),
    always(
        "InsertMedia wants a user name and password (NVIDIA DGX): \"none\" is given when the BMC asks for it",
        "openstack/sushy release notes vmedia-blank-auth and insertmedia-credentials-detection",
    ),
    always(
        "there is no InsertMedia action (Lenovo SD530): PATCH of Image, Inserted and WriteProtected",
        "openstack/sushy release note fix-insert-media-payload",
    ),
    always(
        "EjectMedia without a body is refused (iLO): an empty object is sent",
        "openstack/sushy release note fix-eject-media-empty-dict",
    ),
    always(
        "ManagedBy is missing and Managers is there (Huawei 1288H): both are read",
        "openstack/sushy release note retry-on-missing-managedby",
    ),
    always(
        "GracefulRestart or PowerCycle is not made by every firmware: only values of the list that the BMC gives are sent",
        "quadsproject/badfish issues 10 and 118; dell/dellemc-openmanage-ansible-modules issue 91",
    ),
    always(
        "a reset is refused with 400 while the machine is off (iLO InvalidOperationForSystemState): taken as a changed state",
        "goldyfruit/ansible-ilo issue 1",
    ),
    always(
        "after an operation the BMC is not ready (iDRAC SYS518): taken as busy",
        "openstack/sushy sushy/connector.py, check_retry_on_exception",
    ),
    always(
        "LastResetTime is 0000-00-00T00:00:00+00:00 (Dell): taken as not said",
        "NVIDIA/nv-redfish redfish/src/bmc_quirks.rs, computer_systems_wrong_last_reset_time",
    ),
    always(
        "Members is null in place of an empty list (NVIDIA DPU): taken as empty",
        "NVIDIA/nv-redfish redfish/src/bmc_quirks.rs, bug_nullable_members",
    ),
    always(
        "MACAddress is an empty text: the interface is left out",
        "openstack/sushy release note skip-empty-mac-address",
    ),
    always(
        "the service root has no links to Systems, Managers or Chassis (NVIDIA DGX before a reset of its BMC, Lite-On): they are looked for where they mostly are",
        "NVIDIA/nv-redfish redfish/src/bmc_quirks.rs, bug_missing_root_nav_properties",
    ),
    always(
        "texts hold bytes that are no UTF-8 (serial numbers of Dell EMC): they stand for themselves alone, the rest is read",
        "DMTF/libredfish issue 108",
    ),
    always(
        "good credentials are refused with 401 now and then, or while the BMC starts (HPE iLO, NVIDIA GB200 and GB300): those that were taken before are tried once more after 5 min",
        "dsx-ai-factory/infra-controller pull requests 69 and 5349",
    ),
    always(
        "what needs a licence is refused with 403 (Supermicro OemLicenseNotPassed): what only adds to what is told is left out",
        "metal3-io/ironic-image issue 688",
    ),
    always(
        "/redfish/v1/ is not there: Redfish is switched off in the BMC (iDRAC), which the error says",
        "dell/iDRAC-Redfish-Scripting issue 15",
    ),
];

/// Whether a machine's BMC has it.
pub(super) fn has(behaviour: Behaviour, vendor: &str, model: &str) -> bool {
    let (vendor, model) = (vendor.to_lowercase(), model.to_lowercase());
    let words: Vec<_> = vendor.split(|c: char| !c.is_alphanumeric()).collect();
    QUIRKS.iter().any(|quirk| {
        quirk.behaviour == behaviour && words.contains(&quirk.vendor) && !quirk.except.contains(&model.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quirks_are_those_of_their_vendor_and_not_of_the_models_excepted() {
        assert!(has(Behaviour::CdIsUsbCd, "Supermicro", "SYS-1029P"));
        assert!(!has(Behaviour::CdIsUsbCd, "Supermicro", "ARS-111GL-NHR"));
        assert!(!has(Behaviour::CdIsUsbCd, "Dell Inc.", "SYS-1029P"));
    }

    #[test]
    fn every_row_says_what_and_where_from() {
        assert!(QUIRKS.iter().all(|quirk| !quirk.what.is_empty() && !quirk.source.is_empty()));
    }
}
