//! Our IPMI client against `ipmi_sim`, the simulator of `OpenIPMI`, which has cipher suite 3 and not 17.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use slipway_e2e::lab::{IpmiSim, Part, can_run, eventually};
use slipway_ipmi::commands::app::GetDeviceId;
use slipway_ipmi::commands::boot::{BootDevice, BootFlags};
use slipway_ipmi::commands::chassis::{ChassisControl, GetChassisStatus};
use slipway_ipmi::{CipherSuite, Client, Config, Credentials, Error, Patience, Step};

const SOON: Duration = Duration::from_mins(1);

fn config(password: &str) -> Result<Config> {
    Ok(Config::new(Credentials::new("admin", password)?))
}

/// Repeats soon, and gives up once a busy machine would have answered.
fn hasty() -> Result<Config> {
    let patience = Patience { first: Duration::from_millis(100), tries: 3, deadline: Duration::from_secs(5) };
    Ok(Config { patience, ..config("secret")? })
}

fn client(bmc: &IpmiSim) -> Result<Client> {
    Ok(Client::new(bmc.address(), config("secret")?))
}

async fn is_on(client: &Client) -> Result<bool> {
    Ok(client.run(&GetChassisStatus).await?.power_on)
}

async fn until_power(client: &Client, on: bool) -> Result<()> {
    eventually("the power to change", SOON, || async {
        ensure!(is_on(client).await? == on, "it has not");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn power_and_boot_over_suite_3() -> Result<()> {
    if !can_run(&[Part::Ipmi]) {
        return Ok(());
    }
    for bmc in [IpmiSim::start().await?, IpmiSim::start_v6().await?] {
        let client = client(&bmc)?;
        ensure!(client.open().await? == CipherSuite::Suite3, "it has no other");
        ensure!(!is_on(&client).await?, "it begins off");
        client.run(&ChassisControl::PowerUp).await?;
        until_power(&client, true).await?;
        ensure!(bmc.is_on()?, "the machine itself is off");

        client
            .set_boot_flags(BootFlags { valid: true, persistent: false, uefi: false, device: BootDevice::Pxe })
            .await?;
        ensure!(bmc.boot()? == "pxe", "boots from {}", bmc.boot()?);
        ensure!(client.boot_flags().await?.device == BootDevice::Pxe, "it does not read back");

        client.run(&ChassisControl::PowerCycle).await?;
        // It goes off, and a second later on.
        until_power(&client, false).await?;
        until_power(&client, true).await?;
        client.run(&ChassisControl::HardReset).await?;
        client.run(&ChassisControl::PowerDown).await?;
        until_power(&client, false).await?;
        let set: Vec<_> =
            bmc.calls().into_iter().filter(|call| call.starts_with("set ") && !call.contains("boot")).collect();
        ensure!(set == ["set power 1", "set power 0", "set power 1", "set reset 1", "set power 0"], "{set:?}");
        client.close().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bmc_has_to_tell() -> Result<()> {
    if !can_run(&[Part::Ipmi]) {
        return Ok(());
    }
    let bmc = IpmiSim::start().await?;
    let client = client(&bmc)?;
    let device = client.run(&GetDeviceId).await?;
    ensure!((device.firmware_major, device.manufacturer) == (9, 0x1291), "{device:?}");
    let log = client.sel(100).await?;
    let event = log.iter().find_map(|entry| entry.event).context("no event")?;
    ensure!((event.sensor_type, event.sensor) == (1, 1), "{event:?}");
    client.clear_sel().await?;
    ensure!(client.sel(100).await?.is_empty(), "the log was not cleared");
    ensure!(!client.sdr().await?.is_empty(), "no records");
    let users = client.users().await?;
    ensure!(users.iter().any(|user| user.name == "admin"), "{users:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn suite_17_may_be_the_least() -> Result<()> {
    if !can_run(&[Part::Ipmi]) {
        return Ok(());
    }
    let bmc = IpmiSim::start().await?;
    let strict = Config { minimum_suite: CipherSuite::Suite17, ..config("secret")? };
    match Client::new(bmc.address(), strict).run(&GetChassisStatus).await {
        Err(error @ Error::SuiteRefused { .. }) => {
            let words = error.to_string();
            ensure!(words.contains("17") && words.contains("invalid authentication algorithm"), "{words}");
        }
        other => bail!("{other:?}"),
    }
    ensure!(bmc.calls().is_empty(), "it was asked: {:?}", bmc.calls());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_called_so() -> Result<()> {
    if !can_run(&[Part::Ipmi]) {
        return Ok(());
    }
    let bmc = IpmiSim::start().await?;
    match Client::new(bmc.address(), config("wrong")?).run(&GetChassisStatus).await {
        Err(error @ Error::Unproven { step: Step::Rakp2 }) => {
            ensure!(error.is_credentials_refused() && error.to_string().contains("password"), "{error}");
        }
        other => bail!("{other:?}"),
    }
    match Client::new(bmc.address(), Config::new(Credentials::new("nobody", "secret")?)).run(&GetChassisStatus).await {
        Err(error) => ensure!(error.is_credentials_refused(), "{error}"),
        Ok(status) => bail!("{status:?}"),
    }
    ensure!(!is_on(&client(&bmc)?).await?, "it begins off");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cycle_is_never_sent_twice() -> Result<()> {
    if !can_run(&[Part::Ipmi]) {
        return Ok(());
    }
    let bmc = IpmiSim::start().await?;
    let client = Client::new(bmc.address(), hasty()?);
    client.run(&ChassisControl::PowerUp).await?;
    until_power(&client, true).await?;
    bmc.freeze()?;
    let error = client.run(&ChassisControl::HardReset).await.err().context("it was frozen")?;
    ensure!(error.is_maybe_delivered(), "{error}");
    bmc.thaw()?;
    let after = Client::new(bmc.address(), config("secret")?);
    ensure!(is_on(&after).await?, "a reset does not turn it off");
    let resets = bmc.calls().iter().filter(|call| *call == "set reset 1").count();
    ensure!(resets == 1, "{:?}", bmc.calls());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bmc_that_restarts_is_found_again() -> Result<()> {
    if !can_run(&[Part::Ipmi]) {
        return Ok(());
    }
    let mut bmc = IpmiSim::start().await?;
    let client = Client::new(bmc.address(), hasty()?);
    ensure!(!is_on(&client).await?, "it begins off");
    bmc.restart().await?;
    // The session that it has forgotten is replaced within the call.
    ensure!(!is_on(&client).await?, "it is still off");
    bmc.set_broken(true)?;
    let error = client.run(&ChassisControl::PowerUp).await.err().context("the machine is broken")?;
    ensure!(error.completion().is_some() && error.step() == Some(Step::Command("Chassis Control")), "{error}");
    bmc.set_broken(false)?;
    ensure!(!is_on(&client).await?, "it was not turned on");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once() -> Result<()> {
    const BMCS: usize = 50;
    if !can_run(&[Part::Ipmi]) {
        return Ok(());
    }
    let bmcs = try_join_all((0..BMCS).map(|_| IpmiSim::start())).await?;
    let clients = bmcs.iter().map(client).collect::<Result<Vec<_>>>()?;
    try_join_all(clients.iter().map(|client| client.run(&ChassisControl::PowerUp))).await?;
    try_join_all(clients.iter().map(|client| until_power(client, true))).await?;
    for bmc in &bmcs {
        ensure!(bmc.is_on()?, "{} is off", bmc.address());
        let set: Vec<_> = bmc.calls().into_iter().filter(|call| call.starts_with("set ")).collect();
        ensure!(set == ["set power 1"], "{}: {set:?}", bmc.address());
    }
    for client in &clients {
        client.close().await;
    }
    Ok(())
}
