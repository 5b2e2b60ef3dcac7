//! What can be asked of a BMC.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use slipway_ipmi::commands::app::{GetDeviceGuid, GetDeviceId, GetSystemGuid};
use slipway_ipmi::commands::boot::{BootDevice, BootFlags};
use slipway_ipmi::commands::channel::GetChannelAuthenticationCapabilities;
use slipway_ipmi::commands::chassis::{ChassisControl, ChassisIdentify, GetChassisStatus, GetSystemRestartCause};
use slipway_ipmi::commands::sel::GetSelInfo;
use slipway_ipmi::session::{Delivery, Request};
use slipway_ipmi::wire::NetFn;
use slipway_ipmi::{Client, Error, Password, Privilege};

use super::secret;
use super::show::{self, Shown};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// The machine's power. Each command is sent once.
    #[command(subcommand)]
    Power(Power),
    /// From where the machine boots next.
    #[command(subcommand)]
    Boot(Boot),
    /// Let the machine show where it is, by a light.
    Identify {
        /// For so many seconds; 0 ends it.
        #[arg(default_value_t = 15)]
        seconds: u8,
        /// Until told otherwise.
        #[arg(long, conflicts_with = "seconds")]
        on: bool,
    },
    /// Who the BMC is, and the machine's GUID.
    Info,
    /// The system event log.
    #[command(subcommand)]
    Sel(Sel),
    /// All sensors, with their values, units and thresholds.
    Sensors,
    /// The inventory of a field replaceable unit.
    Fru {
        /// Its number; 0 is the machine itself.
        #[arg(default_value_t = 0)]
        id: u8,
    },
    /// The BMC's addresses.
    Lan,
    /// The BMC's users.
    Users,
    /// A user's password.
    #[command(subcommand)]
    Password(PasswordAction),
    /// The BMC's cipher suites, asked without a login: what it says proves nothing.
    Suites,
    /// Any command, sent once: network function, command, data. The completion code and the data are printed.
    Raw {
        /// Network function, command and data, in hexadecimal with 0x or decimal.
        #[arg(required = true, num_args = 2.., value_parser = byte)]
        bytes: Vec<u8>,
        /// The logical unit.
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..4))]
        lun: u8,
    },
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub(super) enum Power {
    /// Is it on?
    Status,
    /// On.
    On,
    /// Off at once, as by holding the button.
    Off,
    /// Off and on again.
    Cycle,
    /// Hard reset.
    Reset,
    /// Ask the operating system to shut down.
    Soft,
    /// Diagnostic interrupt (NMI).
    Diag,
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub(super) enum Boot {
    /// The override in force.
    Get,
    /// Override the device, for the next boot.
    Set {
        /// From where.
        #[arg(value_enum)]
        device: Device,
        /// By UEFI, not as a PC BIOS does.
        #[arg(long)]
        uefi: bool,
        /// For all boots from now on.
        #[arg(long)]
        persistent: bool,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Device {
    /// No override.
    None,
    Pxe,
    Disk,
    SafeMode,
    Diagnostics,
    Cd,
    Setup,
    Floppy,
    RemoteCd,
    RemoteDisk,
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub(super) enum Sel {
    /// Its entries, oldest first.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 4096)]
        limit: usize,
    },
    /// How full it is.
    Info,
    /// Clear it.
    Clear,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum PasswordAction {
    /// Set it.
    Set {
        /// The user's number; see `users`.
        user: u8,
        /// The file that holds the new password.
        #[arg(long, value_name = "FILE")]
        new_password_file: PathBuf,
    },
    /// Is it this one? Many BMCs count a wrong one as a failed login.
    Test {
        /// The user's number; see `users`.
        user: u8,
        /// The file that holds the password.
        #[arg(long, value_name = "FILE")]
        tested_password_file: PathBuf,
    },
}

fn byte(text: &str) -> Result<u8, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text} is no byte: 0 to 255, or 0x00 to 0xff"))
}

impl Action {
    /// False for what can be asked without a session.
    pub(super) fn needs_login(&self) -> bool {
        !matches!(self, Self::Suites)
    }

    pub(super) async fn run(&self, client: &Client) -> Result<Shown> {
        Ok(match self {
            Self::Power(action) => action.run(client).await?,
            Self::Boot(Boot::Get) => show::boot(client.boot_flags().await?),
            Self::Boot(Boot::Set { device, uefi, persistent }) => {
                let device = device.boot_device();
                let valid = device != BootDevice::Default;
                let flags = BootFlags { valid, persistent: *persistent, uefi: *uefi, device };
                client.set_boot_flags(flags).await?;
                show::boot(client.boot_flags().await?)
            }
            Self::Identify { on: true, .. } => done(client.run(&ChassisIdentify::On).await)?,
            Self::Identify { seconds, .. } => done(client.run(&ChassisIdentify::For(*seconds)).await)?,
            Self::Info => info(client).await?,
            Self::Sel(Sel::List { limit }) => show::sel(&client.sel(*limit).await?),
            Self::Sel(Sel::Info) => show::sel_info(client.run(&GetSelInfo).await?),
            Self::Sel(Sel::Clear) => done(client.clear_sel().await)?,
            Self::Sensors => show::sensors(&client.sensors().await?),
            Self::Fru { id } => show::fru(&client.fru(*id).await?),
            Self::Lan => show::lan(&client.lan().await?),
            Self::Users => show::users(&client.users().await?),
            Self::Password(action) => action.run(client).await?,
            Self::Suites => {
                let ask = GetChannelAuthenticationCapabilities { privilege: Privilege::Administrator };
                show::suites(client.run_outside(&ask).await?, &client.cipher_suites().await?)
            }
            Self::Raw { bytes, lun } => raw(client, bytes, *lun).await?,
        })
    }
}

impl Power {
    async fn run(self, client: &Client) -> Result<Shown> {
        let control = match self {
            Self::Status => {
                let status = client.run(&GetChassisStatus).await?;
                // Not every BMC keeps it.
                let cause = client.run(&GetSystemRestartCause).await.ok();
                return Ok(show::power(status, cause, client.suite().await));
            }
            Self::On => ChassisControl::PowerUp,
            Self::Off => ChassisControl::PowerDown,
            Self::Cycle => ChassisControl::PowerCycle,
            Self::Reset => ChassisControl::HardReset,
            Self::Soft => ChassisControl::SoftShutdown,
            Self::Diag => ChassisControl::DiagnosticInterrupt,
        };
        done(client.run(&control).await)
    }
}

impl Device {
    fn boot_device(self) -> BootDevice {
        match self {
            Self::None => BootDevice::Default,
            Self::Pxe => BootDevice::Pxe,
            Self::Disk => BootDevice::Disk,
            Self::SafeMode => BootDevice::DiskSafeMode,
            Self::Diagnostics => BootDevice::Diagnostics,
            Self::Cd => BootDevice::Cd,
            Self::Setup => BootDevice::Setup,
            Self::Floppy => BootDevice::Floppy,
            Self::RemoteCd => BootDevice::RemoteCd,
            Self::RemoteDisk => BootDevice::RemoteDisk,
        }
    }
}

impl PasswordAction {
    async fn run(&self, client: &Client) -> Result<Shown> {
        match self {
            Self::Set { user, new_password_file } => {
                done(client.set_password(*user, Password::new(secret(new_password_file)?)?).await)
            }
            Self::Test { user, tested_password_file } => {
                let password = Password::new(secret(tested_password_file)?)?;
                if !client.test_password(*user, password).await? {
                    bail!("user {user} has another password");
                }
                Ok(show::nothing())
            }
        }
    }
}

async fn info(client: &Client) -> Result<Shown> {
    let device = client.run(&GetDeviceId).await?;
    // Not every BMC has both.
    let device_guid = client.run(&GetDeviceGuid).await.ok();
    let system_guid = client.run(&GetSystemGuid).await.ok();
    Ok(show::info(&device, device_guid, system_guid, client.suite().await))
}

async fn raw(client: &Client, bytes: &[u8], lun: u8) -> Result<Shown> {
    let [netfn, command, data @ ..] = bytes else { bail!("raw takes a network function and a command") };
    let netfn = NetFn::new(*netfn).context("the network function of a request is even, and below 0x40")?;
    let delivery = Delivery::Once;
    let request = Request { name: "the raw command", netfn, lun, command: *command, data, delivery };
    Ok(show::raw(&client.request(&request).await?))
}

fn done(result: Result<(), Error>) -> Result<Shown> {
    result?;
    Ok(show::nothing())
}
