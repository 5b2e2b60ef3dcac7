//! The Redfish driver against the emulator of sushy-tools, and public Redfish clients against our own fake.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use slipway_drivers::DriverError;
use slipway_drivers::bmc::{Bmc, CommandError, Login, Password, Trust, reasons};
use slipway_drivers::redfish::connect;
use slipway_e2e::lab::certificates::ServerCertificate;
use slipway_e2e::lab::run::Run;
use slipway_e2e::lab::sushy::power_cycle_by_public_clients;
use slipway_e2e::lab::{Part, Sushy, can_run, eventually};
use slipway_fakes::bmc::redfish::{FakeRedfish, Flavour, Settings};
use slipway_fakes::bmc::{Happening, Identity, Machine, PowerAction, Timing};
use slipway_plan::node::bmc::{
    BmcObserved, Boot, BootDevice, BootOverride, Command, HealthLevel, Look, Persistence, PowerState, Security,
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;

/// The emulator lets up to 11 s pass until power has changed.
const CHANGED: Duration = Duration::from_secs(90);
const SYSTEMS: u16 = 50;
/// It is one process for all of them, and opens files for each request until it may open no more.
static CALLS: Semaphore = Semaphore::const_new(4);

async fn turn() -> Result<SemaphorePermit<'static>> {
    Ok(CALLS.acquire().await?)
}

async fn look(bmc: &Arc<dyn Bmc>) -> Result<BmcObserved> {
    let _turn = turn().await?;
    Ok(bmc.observe(Look::Brief).await?)
}

async fn execute(bmc: &Arc<dyn Bmc>, command: &Command) -> Result<(), CommandError> {
    let _turn = CALLS.acquire().await;
    bmc.execute(command).await
}

fn login(password: &str) -> Login {
    Login { username: "admin".into(), password: Password::new(password), kg: None }
}

async fn log_in(sushy: &Sushy, system: Option<&str>, trust: &Trust) -> Result<Arc<dyn Bmc>, DriverError> {
    connect(sushy.url(), system, trust, &login(sushy.login().1)).await
}

async fn until_power(bmc: &Arc<dyn Bmc>, power: PowerState) -> Result<()> {
    eventually("the power to change", CHANGED, || async {
        let seen = look(bmc).await?.power;
        ensure!(seen == power, "it is {seen}");
        Ok(())
    })
    .await
}

/// Off, told to boot from the network, on, restarted, off.
async fn life(bmc: &Arc<dyn Bmc>) -> Result<()> {
    let before = look(bmc).await?;
    ensure!(before.power == PowerState::Off && before.health == HealthLevel::Ok, "{before:?}");
    let boot = BootOverride { device: BootDevice::Pxe, mode: None, persistence: Persistence::Once };
    execute(bmc, &Command::SetBoot(boot)).await?;
    // It never reads back Once.
    let Boot::Override(read) = look(bmc).await?.boot else { bail!("no override") };
    ensure!(read.device == BootDevice::Pxe && read.persistence == Persistence::Persistent, "{read:?}");
    execute(bmc, &Command::PowerOn).await?;
    until_power(bmc, PowerState::On).await?;
    execute(bmc, &Command::Reset).await?;
    until_power(bmc, PowerState::On).await?;
    execute(bmc, &Command::ClearBoot).await?;
    execute(bmc, &Command::ShutDown).await?;
    until_power(bmc, PowerState::Off).await?;
    let _turn = turn().await?;
    let inventory = bmc.inventory().await?;
    ensure!(inventory.vendor.as_deref() == Some("Sushy Emulator") && inventory.nics.len() == 1, "{inventory:?}");
    ensure!(bmc.health().await?.worst.is_none(), "a part is unwell");
    ensure!(bmc.sel(5).await?.is_empty(), "it has no log");
    bmc.execute(&Command::EjectMedia).await?;
    bmc.close().await;
    Ok(())
}

/// It has no `PowerCycle`: off, and on once it is off.
async fn cycle(bmc: &Arc<dyn Bmc>) -> Result<()> {
    execute(bmc, &Command::PowerOn).await?;
    until_power(bmc, PowerState::On).await?;
    execute(bmc, &Command::PowerCycle).await?;
    until_power(bmc, PowerState::On).await?;
    bmc.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_systems_of_an_emulator_live_a_life_at_once() -> Result<()> {
    if !can_run(&[Part::Sushy]) {
        return Ok(());
    }
    let sushy = Arc::new(Sushy::start(SYSTEMS, None).await?);
    let mut lives = JoinSet::new();
    for system in sushy.systems() {
        let sushy = sushy.clone();
        lives.spawn(async move {
            let entry = turn().await?;
            let bmc = log_in(&sushy, Some(&system), &Trust::Any).await?;
            drop(entry);
            life(&bmc).await.with_context(|| format!("{system}; the end of the log:\n{}", sushy.log_tail(5)))
        });
    }
    let mut wrong = Vec::new();
    while let Some(ended) = lives.join_next().await {
        wrong.extend(ended?.err().map(|error| format!("{error:#}")));
    }
    ensure!(wrong.is_empty(), "{} of {SYSTEMS}:\n{}", wrong.len(), wrong.join("\n"));

    let first = sushy.systems().next().context("no system")?;
    cycle(&log_in(&sushy, Some(&first), &Trust::Any).await?).await.context("a power cycle")?;

    let Err(error) = log_in(&sushy, None, &Trust::Any).await else { bail!("which of fifty systems is it?") };
    ensure!(error.reason() == reasons::SYSTEM_NOT_FOUND.word && error.to_string().contains("50 systems"), "{error}");
    let Err(error) = connect(sushy.url(), None, &Trust::Any, &login("wrong")).await else { bail!("logged in") };
    ensure!(error.reason() == reasons::CREDENTIALS_REFUSED.word, "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emulator_behind_tls_is_believed_by_its_ca_or_its_pin() -> Result<()> {
    if !can_run(&[Part::Sushy]) {
        return Ok(());
    }
    let run = Run::current()?;
    let authority = run.authority()?;
    let address = ["127.0.0.1".parse()?];
    let ca = Trust::Ca(authority.pem().into());
    let good = Sushy::start(1, Some(&authority.server_of_kind(ServerCertificate::Valid, &address)?)).await?;
    let bmc = log_in(&good, None, &ca).await?;
    let Security::Tls { certificate_sha256, not_after } = bmc.observe(Look::Brief).await?.security else {
        bail!("no TLS")
    };
    ensure!(not_after.is_some(), "when does the certificate end?");
    log_in(&good, None, &Trust::Pin(certificate_sha256.clone())).await?;
    for (kind, reason) in [
        (ServerCertificate::Expired, reasons::CERTIFICATE_EXPIRED),
        (ServerCertificate::WrongName, reasons::CERTIFICATE_WRONG_NAME),
        (ServerCertificate::UnknownAuthority, reasons::CERTIFICATE_UNTRUSTED),
    ] {
        let bad = Sushy::start(1, Some(&authority.server_of_kind(kind, &address)?)).await?;
        let Err(error) = log_in(&bad, None, &ca).await else { bail!("{kind:?} is believed") };
        ensure!(error.reason() == reason.word, "{kind:?}: {error}");
        let Err(error) = log_in(&bad, None, &Trust::Pin(certificate_sha256.clone())).await else {
            bail!("{kind:?} is taken for the pinned one")
        };
        ensure!(error.reason() == reasons::CERTIFICATE_CHANGED.word, "{kind:?}: {error}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn public_clients_power_cycle_the_fake_of_every_flavour() -> Result<()> {
    if !can_run(&[Part::Sushy]) {
        return Ok(());
    }
    for flavour in Flavour::ALL {
        let machine = Machine::new(Identity::numbered(1), Timing::default());
        let settings = Settings::of(flavour);
        let (username, password) = (settings.username.clone(), settings.password.clone());
        let fake = FakeRedfish::start(machine.clone(), settings).await?;
        let (url, system) = (fake.url(), fake.system());
        let clients =
            tokio::task::spawn_blocking(move || power_cycle_by_public_clients(&url, &system, &username, &password));
        let said = clients.await?.with_context(|| format!("{flavour:?}"))?;
        ensure!(said.lines().count() == 2, "{flavour:?}: {said}");
        let asked = machine.events().into_iter().filter_map(|event| match event.what {
            Happening::Asked(action, _) => Some(action),
            _ => None,
        });
        let asked: Vec<_> = asked.collect();
        let expected = [PowerAction::On, PowerAction::Off, PowerAction::On, PowerAction::Off, PowerAction::On];
        ensure!(asked == expected, "{flavour:?}: {asked:?}");
        ensure!(fake.sessions() == 0 && fake.denials() == 0, "{flavour:?}: {} sessions", fake.sessions());
    }
    Ok(())
}
