//! BMCs by IPMI 2.0 over LAN: [`Bmc`] on top of `slipway-ipmi`, which holds the session and its courtesy.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use slipway_api::node_inventory::{Firmware, NodeInventorySpec};
use slipway_ipmi::commands::app::{DeviceId, GetDeviceId, GetSystemGuid};
use slipway_ipmi::commands::boot::{self, BootFlags};
use slipway_ipmi::commands::channel::GetChannelAuthenticationCapabilities;
use slipway_ipmi::commands::chassis::{
    ChassisControl, ChassisStatus, GetChassisStatus, GetPohCounter, GetSystemRestartCause, PohCounter,
};
use slipway_ipmi::commands::events::Severity;
use slipway_ipmi::commands::fru::FruInventory;
use slipway_ipmi::commands::sdr::{GetSdrRepositoryInfo, Record, SdrRepositoryInfo};
use slipway_ipmi::commands::sel::{self, GetSelEntry, SelTime};
use slipway_ipmi::commands::sensor;
use slipway_ipmi::{CipherSuite, Client, CompletionCode, Config, Credentials, Error, Privilege, Step};
use slipway_plan::node::bmc::evidence::NO_EVENT;
use slipway_plan::node::bmc::{
    BmcObserved, Boot, BootDevice, BootMode, BootOverride, Command, Evidence, Health, HealthLevel, Identity, Look,
    Persistence, PowerState, Security, SelEntry, Sensor,
};
use tokio::sync::Mutex;

use crate::DriverError;
use crate::bmc::{Bmc, CommandError, Login, Password, WHOLE_CALL, reasons};
use crate::reason::Reason;

/// Longest text of a BMC that goes on, in characters.
const MAX_TEXT: usize = 128;
/// The id by which Get SEL Entry gives the newest one (IPMI 2.0 §31.5).
const NEWEST: u16 = 0xffff;
/// So many of the newest entries are looked through for one of power or of a start.
const POWER_EVENTS: u16 = 8;
/// A BMC that takes longer for a command is spared what is not needed and takes dozens of them: sensors and FRU.
const SLOW: Duration = Duration::from_secs(2);
/// Types of sensors whose events tell of power or of a start (IPMI 2.0 Table 42-3): power unit, system event, system boot, boot error,
/// operating system boot and stop, ACPI power state.
const OF_POWER: [u8; 7] = [0x09, 0x12, 0x1d, 0x1e, 0x1f, 0x20, 0x22];

/// A BMC that speaks IPMI.
pub struct Ipmi {
    host: String,
    port: u16,
    config: Config,
    client: std::sync::Mutex<Client>,
    /// Where it is, for messages.
    at: String,
    username: String,
    /// The sensors, as long as the BMC says that they are the same.
    sensors: Mutex<Option<(SdrRepositoryInfo, Vec<Record>)>>,
    /// The newest entry of the event log, and the newest that tells of power, as they were.
    log: Mutex<Option<(SelMark, String)>>,
}

/// What names an entry of the event log: its id, and when it was made, as ids are used again.
type SelMark = (u16, u32);

/// Whether a BMC with IPMI 2.0 answers there, asked without credentials.
pub async fn reach(host: &str, port: u16) -> Result<(), DriverError> {
    let at = location(host, port);
    let nobody = Credentials::new("", "").map_err(|error| reasons::FAILED.error(error.to_string()))?;
    let client = Client::new(resolve(host, port, None).await?, Config::new(nobody));
    let ask = GetChannelAuthenticationCapabilities { privilege: Privilege::Administrator };
    let capabilities = within(&at, &client, client.run_outside(&ask)).await?;
    if capabilities.rmcp_plus {
        return Ok(());
    }
    Err(reasons::NOT_A_BMC
        .error(format!("{at} speaks IPMI 1.5 alone; IPMI 2.0 (RMCP+) is needed: enable it in the BMC")))
}

impl Ipmi {
    /// Logs in, once. `minimum_suite` is 3 or 17, `pace` how long an answer took lately.
    pub async fn connect(
        host: &str,
        port: u16,
        minimum_suite: u8,
        login: &Login,
        pace: Duration,
    ) -> Result<Self, DriverError> {
        let at = location(host, port);
        let invalid = |error: &dyn Display| reasons::REFUSED.error(format!("{at}: {error}"));
        let mut credentials =
            Credentials::new(&login.username, login.password.expose()).map_err(|error| invalid(&error))?;
        if let Some(kg) = &login.kg {
            credentials = credentials.with_kg(kg.expose()).map_err(|error| invalid(&error))?;
        }
        let mut config = Config::new(credentials);
        config.minimum_suite =
            CipherSuite::from_id(minimum_suite).ok_or_else(|| invalid(&"the lowest cipher suite is 3 or 17"))?;
        config.pace = pace;
        let client = Client::new(resolve(host, port, None).await?, config.clone());
        within(&at, &client, client.open()).await?;
        Ok(Self {
            host: host.to_owned(),
            port,
            config,
            client: std::sync::Mutex::new(client),
            at,
            username: login.username.clone(),
            sensors: Mutex::default(),
            log: Mutex::default(),
        })
    }

    fn client(&self) -> Client {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Before a session is opened: its name may lead elsewhere by now, and what is at the old address may be another machine.
    async fn find(&self) -> Result<(), DriverError> {
        let client = self.client();
        if client.suite().await.is_some() {
            return Ok(());
        }
        let address = resolve(&self.host, self.port, Some(client.address())).await?;
        if address != client.address() {
            let config = Config { pace: client.pace().await, ..self.config.clone() };
            *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Client::new(address, config);
        }
        Ok(())
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, DriverError> {
        self.find().await?;
        within(&self.at, &self.client(), call).await
    }

    async fn look(&self, look: Look) -> Result<BmcObserved, Error> {
        let status = self.client().run(&GetChassisStatus).await?;
        let boot = match self.client().boot_flags().await {
            Ok(flags) => boot_of(flags),
            Err(Error::Completion { .. } | Error::Malformed { .. }) => Boot::Unknown,
            Err(error) => return Err(error),
        };
        let evidence = match look {
            Look::Brief => Evidence::default(),
            Look::Evidence => self.evidence(&status).await?,
        };
        let suite = self.client().suite().await.map_or(0, CipherSuite::id);
        Ok(BmcObserved {
            power: if status.power_on { PowerState::On } else { PowerState::Off },
            boot,
            evidence,
            health: chassis_health(&status).0,
            media: None,
            security: Security::CipherSuite(suite),
        })
    }

    async fn evidence(&self, status: &ChassisStatus) -> Result<Evidence, Error> {
        let cause = answered(self.client().run(&GetSystemRestartCause).await)?;
        let count = answered(self.client().run(&GetPohCounter).await)?.filter(|count| count.minutes_per_count > 0);
        Ok(Evidence {
            last_restart: None,
            restart_cause: cause.map(|cause| cause.to_string()),
            newest_event: self.newest_power_event().await?,
            power_event: Some(power_event(status).to_owned()),
            minutes_on: count.map(PohCounter::minutes),
            minutes_step: count.map(|count| count.minutes_per_count.into()),
        })
    }

    /// The newest entry of the event log that tells of power or of a start; `None` if there is no log. Other entries, of
    /// temperatures say, tell nothing of a restart.
    async fn newest_power_event(&self) -> Result<Option<String>, Error> {
        let began = Instant::now();
        let mut entry = match self.client().run(&GetSelEntry { id: NEWEST }).await {
            Ok((_, entry)) => entry,
            Err(Error::Completion { code: CompletionCode::NOT_PRESENT, .. }) => return Ok(Some(NO_EVENT.into())),
            Err(Error::Completion { .. } | Error::Malformed { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let newest = mark(&entry);
        let mut log = self.log.lock().await;
        if let Some((_, event)) = log.as_ref().filter(|(known, _)| *known == newest) {
            return Ok(Some(event.clone()));
        }
        let mut found = None;
        // Numbers mostly go up by one. Of a BMC that takes seconds for each, one is enough.
        for older in 1..=POWER_EVENTS {
            if entry.event.is_some_and(|event| OF_POWER.contains(&event.sensor_type)) {
                let (id, time) = mark(&entry);
                found = Some(format!("{id} at {time}"));
            }
            let Some(id) = newest.0.checked_sub(older).filter(|id| *id > 0 && found.is_none()) else { break };
            if began.elapsed() > SLOW {
                break;
            }
            match answered(self.client().run(&GetSelEntry { id }).await)? {
                Some((_, next)) => entry = next,
                None => break,
            }
        }
        let before = log.take().map(|(_, event)| event);
        let event = found.or(before).unwrap_or_else(|| NO_EVENT.into());
        *log = Some((newest, event.clone()));
        Ok(Some(event))
    }

    async fn sensors(&self) -> Result<Vec<sensor::Sensor>, Error> {
        let mut known = self.sensors.lock().await;
        let now = self.client().run(&GetSdrRepositoryInfo).await?;
        if known.as_ref().is_none_or(|(then, _)| *then != now) {
            *known = Some((now, self.client().sdr().await?));
        }
        let records = known.as_ref().map_or(&[][..], |(_, records)| records);
        self.client().read_sensors(records).await
    }

    async fn health_now(&self) -> Result<Health, Error> {
        let (level, fault) = chassis_health(&self.client().run(&GetChassisStatus).await?);
        let chassis = fault.map(|fault| Sensor { name: "Chassis".into(), level, reading: Some(fault.into()) });
        let sensors = if self.is_slow().await { None } else { answered(self.sensors().await)? };
        let sensors = sensors.unwrap_or_default();
        let worst = sensors.iter().filter_map(sensor_health).chain(chassis).max_by_key(|sensor| sensor.level);
        let level = worst.as_ref().map_or(HealthLevel::Ok, |sensor| sensor.level);
        Ok(Health { level, worst: worst.filter(|sensor| sensor.level > HealthLevel::Ok) })
    }

    async fn identify(&self) -> Result<(Identity, DeviceId), Error> {
        let device = self.client().run(&GetDeviceId).await?;
        let guid = answered(self.client().run(&GetSystemGuid).await)?;
        let fru = if self.is_slow().await { None } else { answered(self.client().fru(0).await)? };
        let fru = fru.unwrap_or_default();
        let identity = Identity {
            vendor: vendor(&fru).or_else(|| device.manufacturer_name().map(str::to_owned)),
            model: model(&fru),
            serial: serial(&fru),
            firmware: Some(device.firmware()),
            uuid: guid.map(|guid| guid.to_string()),
        };
        Ok((identity, device))
    }

    async fn is_slow(&self) -> bool {
        self.client().pace().await > SLOW
    }

    async fn carry_out(&self, command: &Command) -> Result<(), CommandError> {
        let unsupported = |what: &str| Err(CommandError::refused(reasons::UNSUPPORTED.error(what)));
        let control = match command {
            Command::PowerOn => ChassisControl::PowerUp,
            Command::ShutDown => ChassisControl::SoftShutdown,
            Command::ForceOff => ChassisControl::PowerDown,
            Command::Reset => ChassisControl::HardReset,
            Command::PowerCycle => ChassisControl::PowerCycle,
            Command::SetBoot(boot) => {
                let Some(device) = device_of(boot.device) else {
                    return unsupported("IPMI cannot boot from that device: choose Pxe, Hdd, Cd or BiosSetup");
                };
                return self.commanded(self.set_boot(device, *boot).await);
            }
            Command::ClearBoot => {
                let none =
                    BootFlags { valid: false, persistent: false, uefi: false, device: boot::BootDevice::Default };
                return self.commanded(self.client().set_boot_flags(none).await);
            }
            Command::GracefulRestart => {
                return unsupported("IPMI has no graceful restart: shut down, then power on");
            }
            Command::InsertMedia { .. } | Command::EjectMedia => return unsupported("IPMI has no virtual media"),
            Command::SetPassword { .. } => return unsupported("a password is set by its own call"),
        };
        self.commanded(self.client().run(&control).await)
    }

    async fn set_boot(&self, device: boot::BootDevice, wanted: BootOverride) -> Result<(), Error> {
        let uefi = match wanted.mode {
            Some(mode) => mode == BootMode::Uefi,
            // As it is.
            None => answered(self.client().boot_flags().await)?.is_some_and(|flags| flags.uefi),
        };
        let persistent = wanted.persistence == Persistence::Persistent;
        self.client().set_boot_flags(BootFlags { valid: true, persistent, uefi, device }).await
    }

    async fn change_password(&self, new: &Password) -> Result<(), CommandError> {
        let refused =
            |reason: Reason, why: &dyn Display| CommandError::refused(reason.error(format!("{}: {why}", self.at)));
        let new = slipway_ipmi::Password::new(new.expose()).map_err(|error| refused(reasons::REFUSED, &error))?;
        let users = self.client().users().await.map_err(|error| CommandError::refused(self.error(&error)))?;
        let Some(user) = users.iter().find(|user| user.name == self.username) else {
            return Err(refused(reasons::REFUSED, &format!("no user {} in the list of users", self.username)));
        };
        self.commanded(self.client().set_password(user.id, new).await)
    }

    fn commanded(&self, result: Result<(), Error>) -> Result<(), CommandError> {
        result.map_err(|error| {
            let told = self.error(&error);
            if error.is_maybe_delivered() { CommandError::lost(told) } else { CommandError::refused(told) }
        })
    }

    fn error(&self, error: &Error) -> DriverError {
        driver_error(&self.at, error)
    }
}

#[async_trait]
impl Bmc for Ipmi {
    async fn observe(&self, look: Look) -> Result<BmcObserved, DriverError> {
        self.within(self.look(look)).await
    }

    async fn execute(&self, command: &Command) -> Result<(), CommandError> {
        // The client has a deadline for each exchange; an outer one would hide whether the command was sent.
        self.find().await.map_err(CommandError::refused)?;
        self.carry_out(command).await
    }

    async fn identity(&self) -> Result<Identity, DriverError> {
        self.within(self.identify()).await.map(|(identity, _)| identity)
    }

    async fn inventory(&self) -> Result<NodeInventorySpec, DriverError> {
        let (identity, device) = self.within(self.identify()).await?;
        Ok(NodeInventorySpec {
            vendor: identity.vendor,
            model: identity.model,
            serial: identity.serial,
            uuid: identity.uuid,
            firmware: vec![Firmware { name: "BMC".into(), version: device.firmware() }],
            ..NodeInventorySpec::default()
        })
    }

    async fn health(&self) -> Result<Health, DriverError> {
        self.within(self.health_now()).await
    }

    async fn sel(&self, most: usize) -> Result<Vec<SelEntry>, DriverError> {
        let entries = self.within(async { self.client().newest_sel(most).await }).await?;
        Ok(entries.iter().rev().map(sel_entry).collect())
    }

    async fn set_password(&self, new: &Password) -> Result<(), CommandError> {
        self.find().await.map_err(CommandError::refused)?;
        self.change_password(new).await
    }

    async fn close(&self) {
        self.client().close().await;
    }
}

/// The address of a name; the one that was used before, if it still is one of several.
async fn resolve(host: &str, port: u16, before: Option<SocketAddr>) -> Result<SocketAddr, DriverError> {
    let unknown = |why: String| reasons::NAME_NOT_FOUND.error(format!("cannot find the BMC {host}: {why}"));
    let found = tokio::net::lookup_host((host, port)).await.map_err(|error| unknown(error.to_string()))?;
    let addresses: Vec<_> = found.collect();
    let same = before.filter(|before| addresses.contains(before));
    same.or_else(|| addresses.first().copied()).ok_or_else(|| unknown("the name has no address".into()))
}

fn location(host: &str, port: u16) -> String {
    if host.contains(':') { format!("ipmi://[{host}]:{port}") } else { format!("ipmi://{host}:{port}") }
}

/// With a deadline over all of it, and errors in the words of the house. The client has one for each answer.
async fn within<T>(at: &str, client: &Client, call: impl Future<Output = Result<T, Error>>) -> Result<T, DriverError> {
    let Ok(result) = tokio::time::timeout(WHOLE_CALL, call).await else {
        let (whole, pace) = (WHOLE_CALL.as_secs(), client.pace().await.as_secs());
        let told = format!("{at} is slow: it is not done within {whole} s; its last answers took {pace} s each");
        return Err(reasons::SLOW.error(told));
    };
    result.map_err(|error| driver_error(at, &error))
}

fn driver_error(at: &str, error: &Error) -> DriverError {
    let reason = match error {
        Error::Socket { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
            reasons::CONNECTION_REFUSED
        }
        Error::Socket { .. } => reasons::NO_ROUTE,
        Error::NoAnswer { note: Some(note), .. } if note.contains("refused") => reasons::CONNECTION_REFUSED,
        Error::NoAnswer { note: Some(note), .. } if note.contains("unreachable") => reasons::NO_ROUTE,
        Error::NoAnswer { .. } if error.is_silent() => reasons::TIMED_OUT,
        // It answered before.
        Error::NoAnswer { .. } => reasons::CONNECTION_LOST,
        Error::Refused { status, .. } => match status.0 {
            0x01 | 0x0b => reasons::SESSIONS_FULL,
            0x09 | 0x0a => reasons::PRIVILEGE_MISSING,
            _ if status.refuses_credentials() => reasons::CREDENTIALS_REFUSED,
            _ => reasons::FAILED,
        },
        Error::SuiteRefused { .. } | Error::Downgraded | Error::OtherAlgorithms { .. } => reasons::CIPHER_SUITE_MISSING,
        Error::LowerPrivilege { .. } => reasons::PRIVILEGE_MISSING,
        // The codes of this command alone (IPMI 2.0 §22.18).
        Error::Completion { step: Step::SetPrivilege, code, .. } if matches!(code.0, 0x80..=0x82) => {
            reasons::PRIVILEGE_MISSING
        }
        Error::Unproven { .. } => reasons::CREDENTIALS_REFUSED,
        Error::Completion { code, .. } => completion(*code),
        Error::Malformed { .. } => reasons::ANSWER_INVALID,
        Error::Unsettled { .. } => reasons::BUSY,
        _ => reasons::FAILED,
    };
    reason.error(format!("{at}: {error}"))
}

fn completion(code: CompletionCode) -> Reason {
    match code {
        CompletionCode::INSUFFICIENT_PRIVILEGE => reasons::PRIVILEGE_MISSING,
        CompletionCode::INVALID_COMMAND | CompletionCode::INVALID_FOR_LUN | CompletionCode::SUBFUNCTION_DISABLED => {
            reasons::UNSUPPORTED
        }
        CompletionCode::NOT_IN_PRESENT_STATE => reasons::CHANGED,
        CompletionCode::TIMEOUT => reasons::BUSY,
        CompletionCode::UNSPECIFIED => reasons::FAILED,
        code if code.is_transient() => reasons::BUSY,
        _ => reasons::REFUSED,
    }
}

/// What a BMC need not have: `None` where it says that it has not.
fn answered<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Completion { .. } | Error::Malformed { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn boot_of(flags: BootFlags) -> Boot {
    let device = match flags.device {
        _ if !flags.valid => return Boot::Normal,
        boot::BootDevice::Default => return Boot::Normal,
        boot::BootDevice::Pxe => BootDevice::Pxe,
        boot::BootDevice::Disk => BootDevice::Hdd,
        boot::BootDevice::Cd => BootDevice::Cd,
        boot::BootDevice::Setup => BootDevice::BiosSetup,
        _ => BootDevice::Other,
    };
    Boot::Override(BootOverride {
        device,
        mode: Some(if flags.uefi { BootMode::Uefi } else { BootMode::Legacy }),
        persistence: if flags.persistent { Persistence::Persistent } else { Persistence::Once },
    })
}

fn device_of(device: BootDevice) -> Option<boot::BootDevice> {
    match device {
        BootDevice::Pxe => Some(boot::BootDevice::Pxe),
        BootDevice::Hdd => Some(boot::BootDevice::Disk),
        BootDevice::Cd => Some(boot::BootDevice::Cd),
        BootDevice::BiosSetup => Some(boot::BootDevice::Setup),
        BootDevice::UefiHttp | BootDevice::Other => None,
    }
}

fn mark(entry: &sel::SelEntry) -> SelMark {
    (entry.id, entry.time.map_or(0, |time| time.0))
}

/// Why the power last changed, as Get Chassis Status tells (IPMI 2.0 §28.2, "Last Power Event").
fn power_event(status: &ChassisStatus) -> &'static str {
    if status.on_by_command {
        "on by command"
    } else if status.ac_failed {
        "mains power failed"
    } else if status.power_overload || status.interlock || status.power_fault {
        "off by a fault"
    } else {
        "not by command"
    }
}

/// How the chassis says it is, and the worst that it complains of.
fn chassis_health(status: &ChassisStatus) -> (HealthLevel, Option<&'static str>) {
    let complaints = [
        (status.power_fault, HealthLevel::Critical, "main power fault"),
        (status.control_fault, HealthLevel::Critical, "power control fault"),
        (status.power_overload, HealthLevel::Critical, "power overload"),
        (status.fan_fault, HealthLevel::Critical, "fan fault"),
        (status.drive_fault, HealthLevel::Critical, "drive fault"),
        (status.interlock, HealthLevel::Warning, "interlock"),
        (status.intrusion, HealthLevel::Warning, "chassis open"),
    ];
    let worst = complaints.into_iter().find(|complaint| complaint.0);
    worst.map_or((HealthLevel::Ok, None), |(_, level, words)| (level, Some(words)))
}

fn level(severity: Severity) -> HealthLevel {
    match severity {
        Severity::Ok => HealthLevel::Ok,
        Severity::Warning => HealthLevel::Warning,
        Severity::Critical | Severity::Failed => HealthLevel::Critical,
    }
}

/// `None` for a sensor that cannot be read, which says nothing about the host.
fn sensor_health(sensor: &sensor::Sensor) -> Option<Sensor> {
    let sensor::Health::Known(severity) = sensor.health else { return None };
    let reading = match sensor.value {
        Some(value) => format!("{} {}", (value * 100.0).round() / 100.0, sensor.unit),
        None => sensor.states.join(", "),
    };
    let reading = text(&reading);
    Some(Sensor { name: text(&sensor.name).unwrap_or_else(|| "a sensor".into()), level: level(severity), reading })
}

fn sel_entry(entry: &sel::SelEntry) -> SelEntry {
    let at = entry.time.and_then(SelTime::since_1970);
    let event = entry.event;
    let state = event.and_then(|event| event.state());
    let message = match (event, state) {
        (Some(event), Some((words, _))) => {
            let ended = if event.asserted { "" } else { " (ended)" };
            format!("{}: {words}{ended}", event.sensor_name())
        }
        (Some(event), None) => format!("{}: event {:02x?}", event.sensor_name(), event.data),
        (None, _) => format!("record of type {:#04x}: {:02x?}", entry.record_type, &entry.bytes[3..]),
    };
    SelEntry {
        id: entry.id.to_string(),
        at: at.and_then(|seconds| Timestamp::from_second(seconds.into()).ok()),
        level: match (event, state) {
            (Some(event), Some((_, severity))) if event.asserted => level(severity),
            (Some(_), Some(_)) => HealthLevel::Ok,
            _ => HealthLevel::Unknown,
        },
        sensor: event.map(|event| format!("{} {}", event.sensor_name(), event.sensor)),
        message,
    }
}

fn vendor(fru: &FruInventory) -> Option<String> {
    let product = fru.product.as_ref().and_then(|product| text(&product.manufacturer));
    product.or_else(|| fru.board.as_ref().and_then(|board| text(&board.manufacturer)))
}

fn model(fru: &FruInventory) -> Option<String> {
    let product = fru.product.as_ref().and_then(|product| text(&product.name));
    product.or_else(|| fru.board.as_ref().and_then(|board| text(&board.product)))
}

fn serial(fru: &FruInventory) -> Option<String> {
    let product = fru.product.as_ref().and_then(|product| text(&product.serial));
    let chassis = || fru.chassis.as_ref().and_then(|chassis| text(&chassis.serial));
    product.or_else(chassis).or_else(|| fru.board.as_ref().and_then(|board| text(&board.serial)))
}

/// A text of a BMC: bounded; control characters are blanks already. `None` if nothing is left.
fn text(text: &str) -> Option<String> {
    let text: String = text.chars().take(MAX_TEXT).collect();
    (!text.is_empty()).then_some(text)
}
