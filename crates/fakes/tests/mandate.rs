//! A leader whose lease has ended in the middle of a step makes none of the calls that are left of it.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use slipway_drivers::Mandate;
use slipway_drivers::bmc::{self, BmcAddress, ConnectBmc, Delivered, Login, Password, Trust};
use slipway_drivers::docker::conformance::Suite;
use slipway_drivers::docker::{Address, Connect, Factory};
use slipway_fakes::bmc::redfish::{FakeRedfish, Flavour, Settings};
use slipway_fakes::bmc::{Identity, Machine, Timing};
use slipway_fakes::docker::{FakeDocker, Image};
use slipway_fakes::faults::{Effect, Fault};
use slipway_plan::node::bmc::{Command, Look};
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_woken_late_goes_no_further() {
    let fake = FakeDocker::start().await.unwrap();
    fake.load("base:1", Image::new("base"));
    let mandate = Mandate::default();
    let engine = Factory.under(mandate.clone()).docker(&Address::Unix(fake.socket())).await.unwrap();
    let suite = Suite::new(engine, "base:1");
    let mut bench = suite.bench("mandate");
    bench.container("web", &[]);
    bench.files("web", &["/etc/secret"], false);
    let (create, start) = (bench.create("web"), bench.start("web"));

    fake.inject(Fault::after("container-create", Effect::Hang));
    let frozen = async {
        fake.faults().struck().await;
        mandate.until(Instant::now());
        fake.faults().release();
    };
    let (taken, ()) = tokio::join!(bench.take(&create), frozen);
    assert_eq!(taken.unwrap_err().reason(), "LeaseExpired");
    let calls: Vec<_> = fake.changing_calls().into_iter().map(|call| call.name).collect();
    assert_eq!(calls, ["container-create"], "neither the upload nor the rename");

    fake.faults().clear();
    mandate.until(Instant::now() + Duration::from_mins(1));
    bench.execute(&create).await.unwrap();
    bench.execute(&start).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_goes_to_a_bmc_either() {
    let machine = Machine::new(Identity::numbered(7), Timing::immediate());
    let fake = FakeRedfish::start(machine, Settings::of(Flavour::Idrac)).await.unwrap();
    let mandate = Mandate::default();
    let address = BmcAddress::Redfish { url: fake.url(), system: None, trust: Trust::Any };
    let login = Login { username: "admin".into(), password: Password::new("secret-123"), kg: None };
    let bmc = bmc::Factory.under(mandate.clone()).bmc(&address, &login, Duration::ZERO).await.unwrap();
    mandate.until(Instant::now());
    bmc.observe(Look::Brief).await.unwrap();
    let failed = bmc.execute(&Command::PowerOn).await.unwrap_err();
    assert_eq!((failed.error.reason(), failed.delivered), ("LeaseExpired", Delivered::No));
    assert_eq!(fake.count("reset"), 0);
    mandate.until(Instant::now() + Duration::from_mins(1));
    bmc.execute(&Command::PowerOn).await.unwrap();
    assert_eq!(fake.count("reset"), 1);
}
