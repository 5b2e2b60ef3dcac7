//! The IPMI client of `slipway-ipmi` against the fake BMC, which shares no code with it.

#![allow(clippy::unwrap_used, clippy::panic)] // These are tests, helpers too.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use slipway_fakes::bmc::ipmi::{Call, Effect, FakeIpmi, Fault, Privilege, Settings, Suite, User};
use slipway_fakes::bmc::{Identity, Machine, Power, Timing};
use slipway_ipmi::commands::app::GetDeviceId;
use slipway_ipmi::commands::boot::{BootDevice, BootFlags};
use slipway_ipmi::commands::channel::GetChannelAuthenticationCapabilities;
use slipway_ipmi::commands::chassis::{ChassisControl, ChassisIdentify, GetChassisStatus, GetSystemRestartCause};
use slipway_ipmi::commands::sel::GetSelInfo;
use slipway_ipmi::{CipherSuite, Client, Config, Credentials, Error, Password, Patience};
use tokio::time::timeout;

/// Longer than anything here should take.
const LONG: Duration = Duration::from_mins(1);
const CHASSIS_CONTROL: (u8, u8) = (0x00, 0x02);
const CHASSIS_STATUS: Call = Call::Command(0x00, 0x01);

async fn fake(settings: Settings) -> FakeIpmi {
    FakeIpmi::start(Machine::new(Identity::numbered(7), Timing::immediate()), settings).await.unwrap()
}

async fn fake_with(suites: &[Suite]) -> FakeIpmi {
    fake(Settings { suites: suites.to_vec(), ..Settings::default() }).await
}

fn config(password: &str) -> Config {
    let mut config = Config::new(Credentials::new("admin", password).unwrap());
    config.patience = Patience { first: Duration::from_millis(200), tries: 5, deadline: Duration::from_secs(8) };
    config
}

fn client(bmc: &FakeIpmi) -> Client {
    Client::new(bmc.address(), config("secret"))
}

async fn is_on(client: &Client) -> bool {
    client.run(&GetChassisStatus).await.unwrap().power_on
}

/// Waits until the BMC has no session.
async fn until_closed(bmc: &FakeIpmi) {
    let closed = async {
        while bmc.open_sessions() > 0 {
            bmc.until_seen(|seen| seen.command() == Some((0x06, 0x3c))).await;
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, closed).await.unwrap();
}

#[tokio::test]
async fn power_with_each_suite() {
    for (suites, used) in
        [(&[Suite::Seventeen, Suite::Three][..], CipherSuite::Suite17), (&[Suite::Three], CipherSuite::Suite3)]
    {
        let bmc = fake_with(suites).await;
        let client = client(&bmc);
        assert!(!is_on(&client).await);
        assert_eq!(client.suite().await, Some(used));
        client.run(&ChassisControl::PowerUp).await.unwrap();
        assert!(is_on(&client).await);
        assert_eq!(bmc.machine().power(), Power::On);
        client.run(&ChassisControl::PowerCycle).await.unwrap();
        client.run(&GetSystemRestartCause).await.unwrap();
        client.run(&ChassisControl::PowerDown).await.unwrap();
        assert!(!is_on(&client).await);
        assert_eq!(bmc.sessions().len(), 1, "one session for all of it");
        client.close().await;
        assert_eq!((bmc.open_sessions(), client.suite().await), (0, None));
    }
}

#[tokio::test]
async fn ipv6() {
    let bmc = fake(Settings { address: IpAddr::V6(Ipv6Addr::LOCALHOST), ..Settings::default() }).await;
    assert!(!is_on(&client(&bmc)).await);
}

#[tokio::test]
async fn suite_3_only_where_it_is_allowed_and_the_bmc_has_no_17() {
    let only_17 = |bmc: &FakeIpmi| {
        let mut config = config("secret");
        config.minimum_suite = CipherSuite::Suite17;
        Client::new(bmc.address(), config)
    };
    let bmc = fake_with(&[Suite::Three]).await;
    let refused = only_17(&bmc).open().await.unwrap_err();
    assert!(matches!(refused, Error::SuiteRefused { .. }), "{refused}");

    // It lists 17 and yet refuses it: somebody in between may have said so.
    let bmc = fake(Settings { suites: vec![Suite::Three], also_lists: vec![17], ..Settings::default() }).await;
    let downgraded = client(&bmc).open().await.unwrap_err();
    assert!(matches!(downgraded, Error::Downgraded), "{downgraded}");
    until_closed(&bmc).await;

    let bmc = fake_with(&[Suite::Seventeen]).await;
    assert_eq!(only_17(&bmc).open().await.unwrap(), CipherSuite::Suite17);
}

#[tokio::test]
async fn other_algorithms_are_refused() {
    let bmc = fake(Settings::default()).await;
    for offer in [[0, 0, 0], [3, 4, 0], [3, 0, 1], [1, 1, 1]] {
        bmc.inject(Fault::at(Call::OpenSession, Effect::Offer(offer)));
        let error = client(&bmc).open().await.unwrap_err();
        assert!(matches!(error, Error::OtherAlgorithms { .. }), "{offer:?}: {error}");
        bmc.clear_faults();
    }
}

#[tokio::test]
async fn less_privilege_than_asked_for_is_refused() {
    let users = vec![User::new("admin", "secret", Privilege::User)];
    let bmc = fake(Settings { users, ..Settings::default() }).await;
    let error = client(&bmc).open().await.unwrap_err();
    assert!(
        matches!(error, Error::Refused { .. } | Error::Completion { .. } | Error::LowerPrivilege { .. }),
        "{error}"
    );
    let mut modest = config("secret");
    modest.privilege = slipway_ipmi::Privilege::User;
    assert!(!is_on(&Client::new(bmc.address(), modest)).await);
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_said() {
    for suites in [&[Suite::Seventeen][..], &[Suite::Three]] {
        let bmc = fake_with(suites).await;
        let client = Client::new(bmc.address(), config("wrong"));
        let error = client.run(&ChassisControl::PowerUp).await.unwrap_err();
        assert!(error.is_credentials_refused() && !error.is_maybe_delivered(), "{error}");
        assert_eq!(bmc.seen().iter().filter(|seen| seen.call == Call::Rakp1).count(), 1);
    }
}

#[tokio::test]
async fn the_bmcs_own_key() {
    let kg = [0x5a; 20];
    let bmc = fake(Settings { kg: Some(kg), ..Settings::default() }).await;
    let with = |kg: [u8; 20]| {
        let mut config = config("secret");
        config.credentials = config.credentials.with_kg(kg).unwrap();
        Client::new(bmc.address(), config)
    };
    assert!(!is_on(&with(kg)).await);
    for client in [client(&bmc), with([1; 20])] {
        let error = client.open().await.unwrap_err();
        assert!(error.is_credentials_refused(), "{error}");
    }
}

#[tokio::test]
async fn a_forged_proof_is_seen() {
    let bmc = fake(Settings::default()).await;
    for call in [Call::Rakp1, Call::Rakp3] {
        bmc.inject(Fault::at(call, Effect::WrongCode));
        let error = client(&bmc).open().await.unwrap_err();
        assert!(matches!(error, Error::Unproven { .. }), "{error}");
        bmc.clear_faults();
    }
}

#[tokio::test]
async fn reads_survive_what_networks_do() {
    for effect in [
        Effect::LoseRequest,
        Effect::LoseReply,
        Effect::Duplicate,
        Effect::Replay,
        Effect::Garbage(40),
        Effect::Slow(Duration::from_millis(300)),
    ] {
        let bmc = fake(Settings::default()).await;
        bmc.inject(Fault::always(effect.clone()).every(3));
        let client = client(&bmc);
        for _ in 0..6 {
            let status = timeout(LONG, client.run(&GetChassisStatus)).await.unwrap();
            assert!(status.is_ok_and(|status| !status.power_on), "{effect:?}");
        }
    }
}

#[tokio::test]
async fn a_command_whose_answer_is_lost_is_not_sent_again() {
    for (effect, done) in [(Effect::LoseReply, 1), (Effect::LoseRequest, 0)] {
        let bmc = fake(Settings::default()).await;
        bmc.inject(Fault::at(Call::Command(CHASSIS_CONTROL.0, CHASSIS_CONTROL.1), effect));
        let mut config = config("secret");
        config.patience.deadline = Duration::from_secs(4);
        let client = Client::new(bmc.address(), config);
        let error = client.run(&ChassisControl::PowerUp).await.unwrap_err();
        assert!(error.is_maybe_delivered(), "{error}");
        assert_eq!(bmc.done(CHASSIS_CONTROL.0, CHASSIS_CONTROL.1).len(), done);
        let sent = bmc.seen().into_iter().filter(|seen| seen.command() == Some(CHASSIS_CONTROL)).count();
        assert_eq!(sent, 1);
        // The session is still good for a look.
        assert_eq!(is_on(&client).await, done == 1);
    }
}

#[tokio::test]
async fn a_session_that_the_bmc_forgot_is_opened_anew_for_a_read() {
    let bmc = fake(Settings::default()).await;
    let client = client(&bmc);
    assert!(!is_on(&client).await);
    bmc.inject(Fault::at(CHASSIS_STATUS, Effect::ForgetSessions).nth(1));
    assert!(!is_on(&client).await);
    assert_eq!((bmc.sessions().len(), bmc.open_sessions()), (2, 1));
    bmc.inject(Fault::at(CHASSIS_STATUS, Effect::SequenceReset).nth(1));
    assert!(!is_on(&client).await);
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let bmc = fake(Settings::default()).await;
    bmc.inject(Fault::always(Effect::LoseRequest));
    let mut config = config("secret");
    config.patience.deadline = Duration::from_secs(1);
    let begun = Instant::now();
    let error = Client::new(bmc.address(), config).run(&ChassisControl::PowerUp).await.unwrap_err();
    assert!(error.is_no_answer() && !error.is_maybe_delivered(), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn sessions_are_closed_on_drop_and_on_cancel() {
    let bmc = fake(Settings::default()).await;
    let dropped = client(&bmc);
    assert!(!is_on(&dropped).await);
    drop(dropped);
    until_closed(&bmc).await;

    // Cancelled while the BMC has already opened the session, and has not answered.
    bmc.forget();
    bmc.inject(Fault::at(Call::Rakp3, Effect::LoseReply));
    let client = client(&bmc);
    tokio::select! {
        result = client.open() => panic!("{result:?}"),
        () = bmc.until_seen(|seen| seen.call == Call::Rakp3) => {}
    }
    until_closed(&bmc).await;
    bmc.clear_faults();
    assert!(!is_on(&client).await, "the client goes on");
}

#[tokio::test]
async fn one_session_and_one_command_at_a_time_however_many_call() {
    let bmc = fake(Settings::default()).await;
    let client = client(&bmc);
    let calls = (0..20).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { is_on(&client).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert!(!call.await.unwrap());
    }
    assert_eq!(bmc.sessions().len(), 1);
}

#[tokio::test]
async fn everything_else() {
    let bmc = fake(Settings::default()).await;
    let client = client(&bmc);
    let administrator = slipway_ipmi::Privilege::Administrator;
    let ask = GetChannelAuthenticationCapabilities { privilege: administrator };
    assert!(client.run_outside(&ask).await.unwrap().rmcp_plus);
    assert_eq!(client.cipher_suites().await.unwrap(), [3, 17]);
    assert!(bmc.sessions().is_empty(), "all of that without a session");

    assert_eq!(client.run(&GetDeviceId).await.unwrap().ipmi_version, (2, 0));
    for device in [BootDevice::Pxe, BootDevice::Disk, BootDevice::Cd, BootDevice::Setup] {
        for (persistent, uefi) in [(false, true), (true, false)] {
            let flags = BootFlags { valid: true, persistent, uefi, device };
            client.set_boot_flags(flags).await.unwrap();
            assert_eq!(client.boot_flags().await.unwrap(), flags);
        }
    }
    client.run(&ChassisIdentify::For(1)).await.unwrap();

    let sensors = client.sensors().await.unwrap();
    assert!(sensors.iter().any(|sensor| sensor.value.is_some() && sensor.unit == "°C"), "{sensors:?}");
    let fru = client.fru(0).await.unwrap();
    assert!(fru.damaged.is_empty() && fru.product.is_some_and(|product| !product.serial.is_empty()));

    assert!(bmc.log_event([0x01, 1], 0x01, [0x59, 0x60, 0x70]));
    let info = client.run(&GetSelInfo).await.unwrap();
    let entries = client.sel(100).await.unwrap();
    assert_eq!(entries.len(), usize::from(info.entries));
    assert!(entries.iter().any(|entry| entry.event.is_some_and(|event| event.sensor_name() == "Temperature")));
    client.clear_sel().await.unwrap();
    assert!(client.sel(100).await.unwrap().len() <= 1, "at most the entry that says that it was cleared");

    assert!(client.lan().await.unwrap().mac.is_some());
    let users = client.users().await.unwrap();
    let admin = users.iter().find(|user| user.name == "admin").unwrap();
    assert_eq!(admin.access.privilege, Some(administrator));
    let new = Password::new("a password of 20 byt").unwrap();
    client.set_password(admin.id, new.clone()).await.unwrap();
    assert!(client.test_password(admin.id, new).await.unwrap());
    assert!(bmc.has_password("admin", "a password of 20 byt"));
    client.close().await;
    assert!(!is_on(&Client::new(bmc.address(), config("a password of 20 byt"))).await);
}

/// `cargo test --release -p slipway-fakes --test ipmi_client -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn a_thousand_live_sessions() {
    let mut fakes = Vec::new();
    for _ in 0..1000 {
        fakes.push(fake(Settings::default()).await);
    }
    let clients: Vec<_> = fakes.iter().map(client).collect();
    for round in ["set-up and power read", "power read", "power read"] {
        let begun = Instant::now();
        let reads: Vec<_> =
            clients.iter().cloned().map(|client| tokio::spawn(async move { is_on(&client).await })).collect();
        for read in reads {
            assert!(!read.await.unwrap());
        }
        println!("1000 BMCs, {round}: {:?}", begun.elapsed());
    }
}
