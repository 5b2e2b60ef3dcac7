//! How vendors shape their trees, after what is public of them (DMTF's mockups, the vendors' own API documents): names,
//! places, values and manners, as data.

/// Whose BMC it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Dell.
    Idrac,
    /// HPE.
    Ilo,
    /// `OpenBMC`'s `bmcweb`.
    OpenBmc,
    /// Supermicro.
    Supermicro,
}

impl Flavour {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Idrac, Self::Ilo, Self::OpenBmc, Self::Supermicro];

    pub(super) fn shape(self) -> &'static Shape {
        match self {
            Self::Idrac => &IDRAC,
            Self::Ilo => &ILO,
            Self::OpenBmc => &OPEN_BMC,
            Self::Supermicro => &SUPERMICRO,
        }
    }
}

/// How a vendor does it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a manner of its own")]
pub(super) struct Shape {
    /// `Vendor` of the service root; empty where there is none.
    pub(super) vendor: &'static str,
    /// The vendor's section in the service root.
    pub(super) oem: &'static str,
    pub(super) manufacturer: &'static str,
    pub(super) model: &'static str,
    pub(super) firmware: &'static str,
    pub(super) system: &'static str,
    pub(super) manager: &'static str,
    pub(super) chassis: &'static str,
    pub(super) sessions: &'static str,
    /// Links end with a slash.
    pub(super) slash: bool,
    /// The address of a new session is a whole URL.
    pub(super) whole_location: bool,
    pub(super) weak_etags: bool,
    pub(super) expands: bool,
    pub(super) resets: &'static [&'static str],
    pub(super) targets: &'static [&'static str],
    /// It tells the boot mode.
    pub(super) has_mode: bool,
    /// An override without a mode is one in legacy mode.
    pub(super) forgets_mode: bool,
    /// The service tag is in `SKU`.
    pub(super) has_sku: bool,
    /// Where the drive for virtual media is; empty where there is none.
    pub(super) drive: &'static str,
    /// Who owns the log: the system, or the manager.
    pub(super) log_of_manager: bool,
    pub(super) log: &'static str,
    /// `Sensors` in place of `Thermal` and `Power`.
    pub(super) has_sensors: bool,
    pub(super) tells_last_reset: bool,
    /// What a wrong password is answered with.
    pub(super) denial: (u16, &'static str),
    /// What a login is answered with when all slots are taken.
    pub(super) full: &'static str,
    /// A reset of what is off is answered with.
    pub(super) impossible: (u16, &'static str),
    /// Messages have identifiers and arguments alone.
    pub(super) is_terse: bool,
    /// An eject wants a body.
    pub(super) eject_wants_body: bool,
    /// Whether it takes `Inserted` and `WriteProtected`.
    pub(super) takes_inserted: bool,
    /// The number of account slots, and which of them is the administrator's.
    pub(super) accounts: (usize, usize),
}

const IDRAC: Shape = Shape {
    vendor: "Dell",
    oem: "Dell",
    manufacturer: "Dell Inc.",
    model: "PowerEdge R650",
    firmware: "7.00.00.171",
    system: "System.Embedded.1",
    manager: "iDRAC.Embedded.1",
    chassis: "System.Embedded.1",
    sessions: "/redfish/v1/SessionService/Sessions",
    slash: false,
    whole_location: false,
    weak_etags: false,
    expands: true,
    resets: &["On", "ForceOff", "ForceRestart", "GracefulShutdown", "PushPowerButton", "Nmi", "PowerCycle"],
    targets: &["None", "Pxe", "Floppy", "Cd", "Hdd", "BiosSetup", "Utilities", "UefiTarget", "SDCard", "UefiHttp"],
    has_mode: true,
    forgets_mode: false,
    has_sku: true,
    drive: "/redfish/v1/Managers/iDRAC.Embedded.1/VirtualMedia/CD",
    log_of_manager: true,
    log: "Sel",
    has_sensors: false,
    tells_last_reset: true,
    denial: (401, "Base.1.12.AccessDenied"),
    full: "IDRAC.2.8.RAC0218",
    impossible: (409, "IDRAC.2.8.PSU501"),
    is_terse: false,
    eject_wants_body: false,
    takes_inserted: true,
    accounts: (17, 2),
};

const ILO: Shape = Shape {
    vendor: "HPE",
    oem: "Hpe",
    manufacturer: "HPE",
    model: "ProLiant DL360 Gen10",
    firmware: "iLO 5 v2.72",
    system: "1",
    manager: "1",
    chassis: "1",
    sessions: "/redfish/v1/SessionService/Sessions",
    slash: true,
    whole_location: true,
    weak_etags: true,
    expands: false,
    resets: &["On", "ForceOff", "GracefulShutdown", "ForceRestart", "Nmi", "PushPowerButton", "GracefulRestart"],
    targets: &["None", "Cd", "Hdd", "Usb", "SDCard", "Utilities", "Diags", "BiosSetup", "Pxe", "UefiShell", "UefiHttp"],
    has_mode: true,
    forgets_mode: false,
    has_sku: false,
    drive: "/redfish/v1/Managers/1/VirtualMedia/2",
    log_of_manager: false,
    log: "IML",
    has_sensors: false,
    tells_last_reset: false,
    denial: (400, "Base.1.4.UnauthorizedLoginAttempt"),
    full: "Base.1.4.SessionLimitExceeded",
    impossible: (400, "iLO.2.14.InvalidOperationForSystemState"),
    is_terse: true,
    eject_wants_body: true,
    takes_inserted: true,
    accounts: (1, 1),
};

const OPEN_BMC: Shape = Shape {
    vendor: "",
    oem: "OpenBMC",
    manufacturer: "",
    model: "",
    firmware: "2.14.0",
    system: "system",
    manager: "bmc",
    chassis: "chassis",
    sessions: "/redfish/v1/SessionService/Sessions",
    slash: false,
    whole_location: false,
    weak_etags: false,
    expands: true,
    resets: &["On", "ForceOff", "ForceOn", "ForceRestart", "GracefulRestart", "GracefulShutdown", "PowerCycle", "Nmi"],
    targets: &["None", "Pxe", "Hdd", "Cd", "Diags", "BiosSetup", "Usb"],
    has_mode: false,
    forgets_mode: false,
    has_sku: false,
    drive: "",
    log_of_manager: false,
    log: "EventLog",
    has_sensors: true,
    tells_last_reset: true,
    denial: (401, "Base.1.13.ResourceAtUriUnauthorized"),
    full: "Base.1.13.SessionLimitExceeded",
    impossible: (409, "Base.1.13.ResourceInStandby"),
    is_terse: false,
    eject_wants_body: false,
    takes_inserted: true,
    accounts: (1, 1),
};

const SUPERMICRO: Shape = Shape {
    vendor: "Supermicro",
    oem: "Supermicro",
    manufacturer: "Supermicro",
    model: "SYS-1029P-WTRT",
    firmware: "01.74.06",
    system: "1",
    manager: "1",
    chassis: "1",
    sessions: "/redfish/v1/SessionService/Sessions",
    slash: false,
    whole_location: false,
    weak_etags: true,
    expands: false,
    resets: &["On", "ForceOff", "GracefulShutdown", "GracefulRestart", "ForceRestart", "Nmi", "ForceOn"],
    targets: &["None", "Pxe", "Floppy", "Cd", "Usb", "Hdd", "BiosSetup", "UsbCd", "UefiBootNext", "UefiHttp"],
    has_mode: true,
    forgets_mode: true,
    has_sku: false,
    drive: "/redfish/v1/Managers/1/VirtualMedia/VirtualMedia1",
    log_of_manager: false,
    log: "Log1",
    has_sensors: false,
    tells_last_reset: false,
    denial: (401, "Base.1.4.AccessDenied"),
    full: "Base.1.4.SessionLimitExceeded",
    impossible: (400, "Base.1.4.ActionNotSupported"),
    is_terse: false,
    eject_wants_body: false,
    takes_inserted: false,
    accounts: (2, 2),
};
