//! A BMC, who logs in to it, and what it was asked.

use std::sync::Arc;

use slipway_drivers::DriverError;
use slipway_drivers::bmc::{Bmc, CommandError, Delivered, Login, Password, Trust};
use slipway_drivers::redfish::connect;
use slipway_fakes::bmc::redfish::{Bug, FakeRedfish, Flavour, Settings};
use slipway_fakes::bmc::{Cause, Identity, Machine, PowerAction, Timing};
use slipway_plan::node::bmc::{BootDevice, BootMode, BootOverride, Persistence};

pub(crate) const PASSWORD: &str = "secret-123";
pub(crate) const PXE: BootOverride =
    BootOverride { device: BootDevice::Pxe, mode: Some(BootMode::Uefi), persistence: Persistence::Once };

pub(crate) fn login(password: &str) -> Login {
    Login { username: "admin".into(), password: Password::new(password), kg: None }
}

pub(crate) async fn start(settings: Settings) -> FakeRedfish {
    FakeRedfish::start(Machine::new(Identity::numbered(7), Timing::immediate()), settings).await.unwrap()
}

pub(crate) async fn fake(flavour: Flavour) -> FakeRedfish {
    start(Settings::of(flavour)).await
}

pub(crate) async fn log_in(fake: &FakeRedfish) -> Arc<dyn Bmc> {
    connect(&fake.url(), None, &Trust::Any, &login(PASSWORD)).await.unwrap()
}

pub(crate) async fn refusal(fake: &FakeRedfish, password: &str) -> DriverError {
    connect(&fake.url(), None, &Trust::Any, &login(password)).await.map(drop).unwrap_err()
}

/// A BMC with that bug, and the driver logged in to it.
pub(crate) async fn with(flavour: Flavour, bug: Bug) -> (FakeRedfish, Arc<dyn Bmc>) {
    let fake = fake(flavour).await;
    let bmc = log_in(&fake).await;
    fake.has(bug);
    (fake, bmc)
}

pub(crate) fn turn_on(fake: &FakeRedfish) {
    fake.machine().ask(PowerAction::On, Cause::Button).unwrap();
}

pub(crate) fn resets(fake: &FakeRedfish) -> Vec<String> {
    fake.calls().into_iter().filter_map(|call| call.reset).collect()
}

pub(crate) fn outcome(error: &CommandError) -> (&'static str, Delivered) {
    eprintln!("{error}");
    (error.error.reason(), error.delivered)
}
