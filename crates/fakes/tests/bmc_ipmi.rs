//! Our IPMI client against the fake BMC: every command, and everything that can go wrong.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use slipway_fakes::bmc::ipmi::{
    Call, Effect, End, FakeIpmi, Fate, Fault, Lockout, Privilege as Level, Seen, Settings, Suite, User,
};
use slipway_fakes::bmc::{
    BootDevice as Device, BootMode, BootOverride, Cause, Happening, Identity, Machine, Power, PowerAction, Timing,
};
use slipway_ipmi::commands::app::{GetDeviceId, GetSystemGuid};
use slipway_ipmi::commands::boot::{BootDevice, BootFlags};
use slipway_ipmi::commands::channel::GetChannelAuthenticationCapabilities;
use slipway_ipmi::commands::chassis::{
    ChassisControl, ChassisIdentify, GetChassisStatus, GetPohCounter, GetSystemRestartCause,
};
use slipway_ipmi::commands::sdr::Record;
use slipway_ipmi::commands::sensor::Sensor;
use slipway_ipmi::commands::user::{PasswordOperation, PasswordSize, SetUserPassword};
use slipway_ipmi::{CipherSuite, Client, Config, Credentials, Error, Password, Patience, Privilege, RakpStatus, Step};
use tokio::time::{Instant, timeout};

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_mins(1);
/// Get Chassis Status and Chassis Control.
const STATUS: Call = Call::Command(0, 1);
const CONTROL: Call = Call::Command(0, 2);
const CLOSE: Call = Call::Command(6, 0x3c);
/// Set Session Privilege Level and Get Channel Cipher Suites, which are asked while a session is set up.
const PRIVILEGE: Call = Call::Command(6, 0x3b);
const SUITES: Call = Call::Command(6, 0x54);
/// Read FRU Data.
const READ_FRU: Call = Call::Command(0x0a, 0x11);

fn config(password: &str) -> Config {
    Config::new(Credentials::new("admin", password).unwrap())
}

/// Repeats and gives up soon. The deadline is far enough for a busy machine.
fn hasty() -> Config {
    let patience = Patience { first: Duration::from_millis(100), tries: 3, deadline: Duration::from_secs(3) };
    Config { patience, ..config("secret") }
}

async fn start(settings: Settings) -> FakeIpmi {
    let machine = Machine::new(Identity::numbered(7), Timing::immediate());
    FakeIpmi::start(machine, settings).await.unwrap()
}

async fn bmc() -> FakeIpmi {
    start(Settings::default()).await
}

/// One that has a single suite.
async fn with_suite(suite: Suite) -> FakeIpmi {
    start(Settings { suites: vec![suite], ..Settings::default() }).await
}

fn client(bmc: &FakeIpmi) -> Client {
    Client::new(bmc.address(), hasty())
}

async fn is_on(client: &Client) -> Result<bool, Error> {
    let status = timeout(PATIENCE, client.run(&GetChassisStatus)).await.expect("the client hangs");
    status.map(|status| status.power_on)
}

/// Those that came of a kind.
fn came(bmc: &FakeIpmi, call: Call) -> Vec<Seen> {
    bmc.seen().into_iter().filter(|seen| seen.call == call).collect()
}

async fn until_all_closed(bmc: &FakeIpmi) {
    timeout(PATIENCE, bmc.until_all_closed()).await.expect("a session is left");
}

#[track_caller]
fn assert_says(error: &Error, step: Step, words: &str) {
    assert_eq!(error.step(), Some(step), "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[tokio::test]
async fn every_command_with_both_suites() {
    for suite in [Suite::Three, Suite::Seventeen] {
        let bmc = with_suite(suite).await;
        let client = client(&bmc);
        assert_eq!(client.open().await.unwrap().id(), suite.id());
        let capabilities = GetChannelAuthenticationCapabilities { privilege: Privilege::Administrator };
        let capabilities = client.run_outside(&capabilities).await.unwrap();
        assert!(capabilities.rmcp_plus && capabilities.named_users && !capabilities.two_key, "{capabilities:?}");
        assert_eq!(client.cipher_suites().await.unwrap(), [suite.id()]);

        let device = client.run(&GetDeviceId).await.unwrap();
        assert_eq!((device.firmware().as_str(), device.ipmi_version, device.manufacturer), ("2.14", (2, 0), 32473));
        let guid = client.run(&GetSystemGuid).await.unwrap();
        assert_eq!(guid.to_string(), "3d1f0a51-7c22-4b61-9e10-525400000007");

        assert!(!is_on(&client).await.unwrap());
        client.run(&ChassisControl::PowerUp).await.unwrap();
        assert!(is_on(&client).await.unwrap());
        client.run(&ChassisControl::PowerCycle).await.unwrap();
        client.run(&ChassisControl::HardReset).await.unwrap();
        client.run(&ChassisControl::DiagnosticInterrupt).await.unwrap();
        assert_eq!(client.run(&GetSystemRestartCause).await.unwrap().0, 1);
        client.run(&ChassisControl::SoftShutdown).await.unwrap();
        assert!(!is_on(&client).await.unwrap());
        client.run(&ChassisControl::PowerUp).await.unwrap();
        client.run(&ChassisControl::PowerDown).await.unwrap();
        let asked = |happening| if let Happening::Asked(action, _) = happening { Some(action) } else { None };
        let asked: Vec<_> = bmc.machine().events().into_iter().filter_map(|event| asked(event.what)).collect();
        assert_eq!(
            asked,
            [
                PowerAction::On,
                PowerAction::Cycle,
                PowerAction::Reset,
                PowerAction::Diagnostic,
                PowerAction::SoftOff,
                PowerAction::On,
                PowerAction::Off
            ]
        );
        let error = client.run(&ChassisControl::HardReset).await.unwrap_err();
        assert_says(&error, Step::Command("Chassis Control"), "not supported in the present state");
        client.run(&ChassisIdentify::For(20)).await.unwrap();

        let lan = client.lan().await.unwrap();
        assert_eq!(lan.address.map(IpAddr::from), Some(bmc.address().ip()));
        assert_eq!(lan.mac.map(|mac| mac.to_string()).as_deref(), Some("52:54:00:00:07:00"));
        client.close().await;
        assert_eq!(bmc.sessions().len(), 1, "all in one session");
        assert_eq!(bmc.open_sessions(), 0);
        assert_eq!(came(&bmc, CLOSE).len(), 1);
    }
}

#[tokio::test]
async fn boot_flags_are_set_and_used_up() {
    let bmc = start(Settings { idle: Duration::from_hours(1), ..Settings::default() }).await;
    let client = client(&bmc);
    assert!(!client.boot_flags().await.unwrap().valid);
    for (device, wanted) in [
        (BootDevice::Pxe, Device::Pxe),
        (BootDevice::Disk, Device::Disk),
        (BootDevice::Cd, Device::Cd),
        (BootDevice::Setup, Device::Setup),
    ] {
        for (persistent, uefi) in [(false, false), (true, true)] {
            let flags = BootFlags { valid: true, persistent, uefi, device };
            client.set_boot_flags(flags).await.unwrap();
            let mode = if uefi { BootMode::Uefi } else { BootMode::Legacy };
            assert_eq!(bmc.machine().boot_override(), Some(BootOverride { device: wanted, mode, persistent }));
            assert_eq!(client.boot_flags().await.unwrap(), flags);
        }
    }
    let once = BootFlags { valid: true, persistent: false, uefi: true, device: BootDevice::Pxe };
    client.set_boot_flags(once).await.unwrap();
    // They hold for longer than a minute, and until the machine starts.
    bmc.machine().advance(Duration::from_mins(5));
    client.run(&ChassisControl::PowerUp).await.unwrap();
    assert_eq!(bmc.machine().boots().last().map(|boot| (boot.device, boot.mode)), Some((Device::Pxe, BootMode::Uefi)));
    assert!(!client.boot_flags().await.unwrap().valid, "it was for one boot");
    let cleared = BootFlags { valid: false, persistent: false, uefi: false, device: BootDevice::Default };
    client.set_boot_flags(cleared).await.unwrap();
    assert_eq!(bmc.machine().boot_override(), None);
}

#[tokio::test]
async fn the_event_log_is_read_and_cleared() {
    let bmc = bmc().await;
    let client = client(&bmc);
    for number in 0..20 {
        assert!(bmc.log_event([0x01, 1], 0x01, [0x59, number, 90]));
    }
    let log = client.sel(100).await.unwrap();
    assert_eq!(log.len(), 20);
    let event = log[3].event.unwrap();
    assert_eq!((event.sensor_type, event.sensor, event.asserted, event.data), (1, 1, true, [0x59, 3, 90]));
    assert!(client.sel(5).await.unwrap().len() <= 5, "no more than asked for");
    client.clear_sel().await.unwrap();
    assert_eq!(client.sel(100).await.unwrap().len(), 0);
    assert_eq!(bmc.done(0x0a, 0x47).iter().filter(|clear| clear.data.ends_with(&[0xaa])).count(), 1);
}

#[tokio::test]
async fn records_are_read_in_parts() {
    let bmc = bmc().await;
    let client = client(&bmc);
    let records = client.sdr().await.unwrap();
    let name = |record: &Record| match record {
        Record::Sensor(sensor) => sensor.name.clone(),
        Record::Fru(fru) => fru.name.clone(),
        Record::Controller(controller) => controller.name.clone(),
        Record::Other(_) => String::new(),
    };
    let names: Vec<_> = records.iter().map(name).collect();
    assert_eq!(
        names,
        [
            "CPU1 Temp",
            "Inlet Temp",
            "DIMM Margin",
            "Fan1",
            "P12V",
            "PSU1 Power",
            "PSU1 Status",
            "Intrusion",
            "System Board",
            "BMC"
        ]
    );
    // Somebody else takes the reservation in between: it is read again from the beginning, with a new one.
    bmc.inject(Fault::at(Call::Command(0x0a, 0x23), Effect::Refuse(0xc5)).nth(5));
    assert_eq!(client.sdr().await.unwrap().len(), names.len());
    // There are no reservations.
    let bmc = self::bmc().await;
    bmc.inject(Fault::at(Call::Command(0x0a, 0x22), Effect::Refuse(0xc1)));
    assert_eq!(self::client(&bmc).sdr().await.unwrap(), records);
}

#[tokio::test]
async fn sensors_and_their_health() {
    let bmc = bmc().await;
    let client = client(&bmc);
    let named = |sensors: &[Sensor], name: &str| sensors.iter().find(|sensor| sensor.name == name).unwrap().clone();
    let off = client.sensors().await.unwrap();
    assert_eq!(named(&off, "Fan1").value, None, "it stands still");
    client.run(&ChassisControl::PowerUp).await.unwrap();
    let on = client.sensors().await.unwrap();
    for (name, value, unit) in [
        ("CPU1 Temp", 42.0, "C"),
        ("DIMM Margin", -30.0, "C"),
        ("Fan1", 6300.0, "RPM"),
        ("P12V", 12.06, "V"),
        ("PSU1 Power", 200.0, "W"),
    ] {
        let sensor = named(&on, name);
        let read = sensor.value.unwrap();
        assert!((read - value).abs() < 1e-6, "{name}: {read}");
        assert!(sensor.unit.contains(unit), "{name}: {}", sensor.unit);
        assert_eq!(sensor.health, named(&on, "Inlet Temp").health, "{name} is well");
    }
    assert_eq!(named(&on, "CPU1 Temp").thresholds.upper_critical, Some(90.0));
    assert_eq!(named(&on, "Fan1").thresholds.lower_critical, Some(900.0));
    assert!(bmc.set_reading("CPU1 Temp", 92));
    let hot = client.sensors().await.unwrap();
    assert_ne!(named(&hot, "CPU1 Temp").health, named(&hot, "Inlet Temp").health);
}

#[tokio::test]
async fn the_inventory_is_read_in_parts() {
    let bmc = bmc().await;
    let inventory = client(&bmc).fru(0).await.unwrap();
    assert_eq!(inventory.damaged, []);
    let (board, product) = (inventory.board.unwrap(), inventory.product.unwrap());
    assert_eq!(inventory.chassis.unwrap().serial, "CAX100007");
    assert_eq!((board.manufacturer.as_str(), board.serial.as_str()), ("Ahlborn", "BAX100007"));
    assert_eq!((product.name.as_str(), product.serial.as_str()), ("AX-1", "AX100007"));
    let reads = bmc.done(0x0a, 0x11).len();
    assert!(reads > 3);
    // Where it breaks off, what came before is good.
    bmc.inject(Fault::at(READ_FRU, Effect::Refuse(0xc9)).nth(reads as u64));
    let broken = client(&bmc).fru(0).await.unwrap();
    assert_eq!((broken.board, broken.product, broken.damaged.len()), (Some(board), None, 1));
}

#[tokio::test]
async fn users_and_passwords() {
    let bmc = bmc().await;
    let client = client(&bmc);
    let users = client.users().await.unwrap();
    let admin = users.iter().find(|user| user.name == "admin").unwrap();
    assert_eq!((admin.id, admin.access.privilege), (2, Some(Privilege::Administrator)));
    // With whichever size it is stored.
    for size in [PasswordSize::Sixteen, PasswordSize::Twenty] {
        let operation = PasswordOperation::Set(Password::new("secret").unwrap());
        client.run(&SetUserPassword { user: 2, operation, size }).await.unwrap();
        assert!(client.test_password(2, Password::new("secret").unwrap()).await.unwrap(), "{size:?}");
        assert!(!client.test_password(2, Password::new("secret and much more").unwrap()).await.unwrap(), "{size:?}");
    }
    for password in ["short", "a secret of 20 bytes"] {
        client.set_password(2, Password::new(password).unwrap()).await.unwrap();
        assert!(bmc.has_password("admin", password));
        let fresh = Client::new(bmc.address(), Config { patience: hasty().patience, ..config(password) });
        assert!(!is_on(&fresh).await.unwrap());
        assert!(client.test_password(2, Password::new(password).unwrap()).await.unwrap());
        assert!(!client.test_password(2, Password::new("other").unwrap()).await.unwrap());
    }
}

#[tokio::test]
async fn a_change_of_the_password_whose_answer_is_lost_is_not_followed_by_a_login_with_the_old_one() {
    let bmc = bmc().await;
    let client = client(&bmc);
    client.users().await.unwrap();
    bmc.inject(Fault::at(Call::Command(0x06, 0x47), Effect::LoseReply));
    let error = client.set_password(2, Password::new("another").unwrap()).await.unwrap_err();
    assert!(error.is_maybe_delivered(), "{error}");
    assert!(bmc.has_password("admin", "another"));
    let logins = bmc.seen().iter().filter(|seen| seen.call == Call::Rakp1).count();
    assert_eq!((bmc.done(0x06, 0x47).len(), logins), (1, 1));
}

#[tokio::test]
async fn the_count_of_hours_is_told() {
    let bmc = bmc().await;
    bmc.machine().ask(PowerAction::On, Cause::Button).unwrap();
    bmc.machine().advance(Duration::from_hours(5));
    assert_eq!(client(&bmc).run(&GetPohCounter).await.unwrap().minutes(), 300);
}

#[tokio::test]
async fn many_callers_share_one_session_and_take_turns() {
    let bmc = bmc().await;
    // Patient, so that on a busy machine nothing is sent again.
    let client = Client::new(bmc.address(), config("secret"));
    bmc.inject(Fault::at(STATUS, Effect::Slow(Duration::from_millis(10))));
    let all = join_all((0..20).map(|_| is_on(&client))).await;
    assert!(all.iter().all(|answer| matches!(answer, Ok(false))));
    assert_eq!(bmc.sessions().len(), 1);
    let seen = bmc.seen();
    for pair in seen.windows(2) {
        let Fate::Done { answered: Some(answered), .. } = pair[0].fate else { panic!("{:?}", pair[0]) };
        assert!(pair[1].at >= answered, "{:?} came before the answer to {:?}", pair[1], pair[0]);
    }
}

#[tokio::test]
async fn the_session_is_closed_always() {
    let bmc = bmc().await;
    // When the last client is dropped.
    let first = client(&bmc);
    assert!(!is_on(&first).await.unwrap());
    assert_eq!(bmc.open_sessions(), 1);
    drop(first);
    until_all_closed(&bmc).await;

    // When a call is abandoned half way, at whichever step.
    let steps = [Call::OpenSession, Call::Rakp1, Call::Rakp3, Call::Command(6, 0x3b), STATUS];
    for step in steps {
        bmc.clear_faults();
        bmc.forget();
        bmc.inject(Fault::at(step, Effect::Slow(Duration::from_secs(30))));
        let client = client(&bmc);
        let abandoned = tokio::spawn(async move { is_on(&client).await });
        timeout(PATIENCE, bmc.until_seen(|seen| seen.call == step)).await.unwrap();
        abandoned.abort();
        assert!(abandoned.await.is_err(), "it was not abandoned at {step:?}");
        until_all_closed(&bmc).await;
        assert!(bmc.sessions().iter().all(|it| matches!(it.ended, Some((_, End::Closed)))), "{:?}", bmc.sessions());
    }
}

#[tokio::test]
async fn what_the_network_does_to_datagrams_changes_nothing() {
    let faults: Vec<(&str, Vec<Fault>)> = vec![
        ("requests lost", vec![Fault::always(Effect::LoseRequest).every(3)]),
        ("replies lost", vec![Fault::always(Effect::LoseReply).every(3)]),
        ("duplicates", vec![Fault::always(Effect::Duplicate)]),
        ("stale ones", vec![Fault::always(Effect::Replay)]),
        ("another order", vec![Fault::at(STATUS, Effect::Reorder).every(2)]),
        ("garbage", vec![Fault::always(Effect::Garbage(900))]),
        ("huge garbage", vec![Fault::always(Effect::Garbage(20_000))]),
        ("empty datagrams", vec![Fault::always(Effect::Garbage(0))]),
        ("a wrong code now and then", vec![Fault::at(STATUS, Effect::WrongCode).every(2)]),
        ("forgotten sessions", vec![Fault::at(STATUS, Effect::ForgetSessions).every(3)]),
        ("counted from the beginning", vec![Fault::at(STATUS, Effect::SequenceReset).every(4)]),
        ("busy now and then", vec![Fault::at(STATUS, Effect::Refuse(0xc0)).every(3)]),
    ];
    for (name, rules) in faults {
        let bmc = bmc().await;
        let client = client(&bmc);
        for rule in rules {
            bmc.inject(rule);
        }
        for round in 0..6 {
            let want = round % 2 == 1;
            let claim = if want { Power::On } else { Power::Off };
            bmc.machine().ask(if want { PowerAction::On } else { PowerAction::Off }, Cause::Button).unwrap();
            assert_eq!(bmc.machine().power(), claim);
            match is_on(&client).await {
                Ok(on) => assert_eq!(on, want, "{name}: an old answer in round {round}"),
                Err(error) => panic!("{name}: {error} in round {round}"),
            }
        }
        let open = bmc.sessions().iter().filter(|session| session.ended.is_none()).count();
        assert!(open <= 1, "{name}: {open} sessions at once");
    }
}

#[tokio::test]
async fn numbers_that_a_bmc_leaves_out_cost_neither_time_nor_a_session() {
    let bmc = bmc().await;
    let client = client(&bmc);
    bmc.inject(Fault::at(STATUS, Effect::SequenceGap(100_000)));
    for _ in 0..5 {
        is_on(&client).await.unwrap();
    }
    assert_eq!((bmc.sessions().len(), came(&bmc, STATUS).len()), (1, 5));
}

#[tokio::test]
async fn a_bmc_that_is_busy_while_a_session_is_set_up_is_asked_again() {
    for (suite, call) in [(Suite::Seventeen, PRIVILEGE), (Suite::Three, PRIVILEGE), (Suite::Three, SUITES)] {
        let bmc = with_suite(suite).await;
        bmc.inject(Fault::at(call, Effect::Refuse(0xc0)).nth(1));
        is_on(&client(&bmc)).await.unwrap();
        assert_eq!((bmc.sessions().len(), came(&bmc, Call::Rakp1).len()), (1, 1), "{call:?}");
    }
    // A list of suites of which a part did not come is not taken for the whole.
    let also_lists = vec![1, 2, 6, 7, 8, 17];
    let bmc = start(Settings { suites: vec![Suite::Three], also_lists, ..Settings::default() }).await;
    bmc.inject(Fault::at(SUITES, Effect::Refuse(0xc0)).nth(2));
    assert!(matches!(is_on(&client(&bmc)).await, Err(Error::Downgraded)));
    // One that stays busy says so, and refuses nobody.
    let bmc = self::bmc().await;
    bmc.inject(Fault::at(PRIVILEGE, Effect::Refuse(0xd2)));
    let error = is_on(&client(&bmc)).await.unwrap_err();
    assert_says(&error, Step::SetPrivilege, "BMC initialization in progress");
    assert!(!error.is_credentials_refused());
    until_all_closed(&bmc).await;
}

#[tokio::test]
async fn a_command_with_an_effect_is_never_sent_twice() {
    let long = Duration::from_secs(5);
    for (name, effect, done, maybe) in [
        ("request lost", Effect::LoseRequest, false, true),
        ("reply lost", Effect::LoseReply, true, true),
        ("too slow", Effect::Slow(long), true, true),
        ("restarted before", Effect::RestartBefore, false, true),
        ("restarted after", Effect::RestartAfter, true, true),
        ("forgot the session", Effect::ForgetSessions, false, true),
        ("wrong code", Effect::WrongCode, true, true),
        ("done, but time-out", Effect::DoneBut(0xc3), true, true),
        ("done, but unspecified", Effect::DoneBut(0xff), true, true),
        ("busy", Effect::Refuse(0xc0), false, false),
        ("may not", Effect::Refuse(0xd4), false, false),
        ("invalid", Effect::Refuse(0xcc), false, false),
    ] {
        let bmc = bmc().await;
        let client = client(&bmc);
        client.run(&ChassisControl::PowerUp).await.unwrap();
        bmc.inject(Fault::at(CONTROL, effect).nth(1));
        let error = timeout(PATIENCE, client.run(&ChassisControl::PowerCycle)).await.unwrap().expect_err(name);
        assert_eq!(error.step(), Some(Step::Command("Chassis Control")), "{name}: {error}");
        assert_eq!(error.is_maybe_delivered(), maybe, "{name}: {error}");
        assert_eq!(came(&bmc, CONTROL).len(), 2, "{name}: sent more than once");
        let cycles = bmc
            .machine()
            .events()
            .iter()
            .filter(|it| matches!(it.what, Happening::Asked(PowerAction::Cycle, _)))
            .count();
        assert_eq!(cycles, usize::from(done), "{name}");
    }
    // Those that harm nothing.
    for effect in [Effect::Duplicate, Effect::Replay, Effect::Garbage(700), Effect::Slow(Duration::from_millis(300))] {
        let bmc = bmc().await;
        let client = client(&bmc);
        client.run(&ChassisControl::PowerUp).await.unwrap();
        bmc.inject(Fault::at(CONTROL, effect.clone()));
        client.run(&ChassisControl::PowerCycle).await.unwrap();
        assert_eq!(came(&bmc, CONTROL).len(), 2, "{effect:?}");
        assert_eq!(bmc.machine().boots().len(), 2, "{effect:?}");
    }
}

/// The BMC may have dropped a session that was idle: that is found out before a command that must not be sent twice.
#[tokio::test]
async fn a_power_cycle_in_a_forgotten_session_is_sent_in_a_new_one() {
    let bmc = bmc().await;
    let client = client(&bmc);
    client.run(&ChassisControl::PowerUp).await.unwrap();
    bmc.restart();
    bmc.machine().advance(Duration::from_secs(1));
    assert!(is_on(&client).await.unwrap());
    client.run(&ChassisControl::PowerCycle).await.unwrap();
    assert_eq!(bmc.machine().boots().len(), 2);
    assert_eq!(bmc.sessions().len(), 2);
    assert_eq!(bmc.sessions()[0].ended.map(|(_, how)| how), Some(End::Forgotten));
}

#[tokio::test]
async fn a_silent_bmc_is_asked_a_few_times_and_no_more() {
    let bmc = bmc().await;
    bmc.inject(Fault::always(Effect::LoseRequest));
    let began = Instant::now();
    let error = is_on(&client(&bmc)).await.unwrap_err();
    assert_says(&error, Step::OpenSession, "no answer");
    assert!(error.is_no_answer() && !error.is_maybe_delivered() && !error.is_credentials_refused(), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10));
    // Three times, or less on a machine too busy to come to it in time.
    assert!((1..=3).contains(&bmc.seen().len()), "{:?}", bmc.seen());

    // In the middle of a session.
    bmc.clear_faults();
    let client = client(&bmc);
    assert!(!is_on(&client).await.unwrap());
    bmc.forget();
    bmc.inject(Fault::always(Effect::LoseRequest));
    let error = is_on(&client).await.unwrap_err();
    assert!(error.is_no_answer(), "{error}");
    assert!(bmc.seen().len() <= 8, "{} datagrams to a dead BMC", bmc.seen().len());
}

#[tokio::test]
async fn who_is_refused_learns_why_and_tries_once() {
    let users = vec![User::new("admin", "secret", Level::Administrator), User::new("watcher", "looks", Level::User)];
    let bmc = start(Settings { users, ..Settings::default() }).await;
    let with = |credentials: Credentials| Client::new(bmc.address(), Config { credentials, ..hasty() });

    let error = is_on(&with(Credentials::new("admin", "wrong").unwrap())).await.unwrap_err();
    assert_says(&error, Step::Rakp2, "password");
    assert!(error.is_credentials_refused());
    let error = is_on(&with(Credentials::new("nobody", "secret").unwrap())).await.unwrap_err();
    assert_says(&error, Step::Rakp2, "unauthorized name");
    assert!(error.is_credentials_refused());
    let error = is_on(&with(Credentials::new("watcher", "looks").unwrap())).await.unwrap_err();
    assert_says(&error, Step::Rakp2, "unauthorized role");
    assert!(error.is_credentials_refused());
    assert_eq!(came(&bmc, Call::Rakp1).len(), 3, "each tried once");
    assert_eq!(bmc.sessions().len(), 0);

    // It may read, and learns that it may no more.
    let watcher =
        Config { privilege: Privilege::User, credentials: Credentials::new("watcher", "looks").unwrap(), ..hasty() };
    let watcher = Client::new(bmc.address(), watcher);
    assert!(!is_on(&watcher).await.unwrap());
    let error = watcher.run(&ChassisControl::PowerUp).await.unwrap_err();
    assert_says(&error, Step::Command("Chassis Control"), "insufficient privilege");
    assert!(!error.is_maybe_delivered());
    assert_eq!(bmc.machine().power(), Power::Off);
}

#[tokio::test]
async fn who_is_locked_out_is_told_so() {
    let lockout = Some(Lockout { after: 2, lasts: Duration::from_mins(5) });
    let bmc = start(Settings { lockout, ..Settings::default() }).await;
    let wrong = Client::new(bmc.address(), Config { patience: hasty().patience, ..config("wrong") });
    for _ in 0..2 {
        assert_says(&is_on(&wrong).await.unwrap_err(), Step::Rakp2, "password");
    }
    // Even the right one now.
    let error = is_on(&client(&bmc)).await.unwrap_err();
    assert_says(&error, Step::Rakp2, "unauthorized name");
    bmc.machine().advance(Duration::from_mins(6));
    assert!(!is_on(&client(&bmc)).await.unwrap());
}

#[tokio::test]
async fn the_bmc_s_own_key() {
    let mut kg = [0; 20];
    kg[..3].copy_from_slice(b"key");
    for suite in [Suite::Three, Suite::Seventeen] {
        let bmc = start(Settings { kg: Some(kg), suites: vec![suite], ..Settings::default() }).await;
        let with = |key: &str| {
            let credentials = Credentials::new("admin", "secret").unwrap().with_kg(key).unwrap();
            Client::new(bmc.address(), Config { credentials, ..hasty() })
        };
        assert!(!is_on(&with("key")).await.unwrap());
        for wrong in [with("another"), client(&bmc)] {
            let error = is_on(&wrong).await.unwrap_err();
            assert_says(&error, Step::Rakp4, "K_g");
            assert!(error.is_credentials_refused());
        }
    }
}

#[tokio::test]
async fn no_suite_lower_than_asked_for() {
    let old = with_suite(Suite::Three).await;
    assert_eq!(client(&old).open().await.unwrap(), CipherSuite::Suite3);
    let strict = Config { minimum_suite: CipherSuite::Suite17, ..hasty() };
    let error = Client::new(old.address(), strict).open().await.unwrap_err();
    assert!(matches!(error, Error::SuiteRefused { .. }), "{error}");
    assert_says(&error, Step::OpenSession, "17");

    // It refuses 17 and lists it: somebody may have forged the refusal.
    let forged = start(Settings { suites: vec![Suite::Three], also_lists: vec![17], ..Settings::default() }).await;
    let error = client(&forged).open().await.unwrap_err();
    assert!(matches!(error, Error::Downgraded), "{error}");
    assert_eq!(forged.done(0, 1).len(), 0);
    until_all_closed(&forged).await;

    // The answer to the proposal is another suite, or none at all.
    for offer in [[1, 1, 1], [3, 4, 0], [3, 0, 0], [0, 0, 0], [0, 0, 1]] {
        let bmc = bmc().await;
        bmc.inject(Fault::at(Call::OpenSession, Effect::Offer(offer)));
        let error = client(&bmc).open().await.unwrap_err();
        assert!(matches!(error, Error::OtherAlgorithms { .. }), "{offer:?}: {error}");
        assert_eq!(came(&bmc, Call::Rakp1).len(), 0, "{offer:?}: the name was told");
    }
    // Other refusals are no reason for a lower suite.
    for status in [0x01, 0x09, 0x0b, 0x12] {
        let bmc = bmc().await;
        bmc.inject(Fault::at(Call::OpenSession, Effect::Refuse(status)));
        let error = client(&bmc).open().await.unwrap_err();
        assert!(
            matches!(error, Error::Refused { step: Step::OpenSession, status: RakpStatus(it) } if it == status),
            "{error}"
        );
        assert_eq!(came(&bmc, Call::OpenSession).len(), 1);
    }
}

#[tokio::test]
async fn a_bmc_that_cannot_prove_itself_is_not_believed() {
    for (call, step) in [(Call::Rakp1, Step::Rakp2), (Call::Rakp3, Step::Rakp4)] {
        for suite in [Suite::Three, Suite::Seventeen] {
            let bmc = with_suite(suite).await;
            bmc.inject(Fault::at(call, Effect::WrongCode));
            let error = is_on(&client(&bmc)).await.unwrap_err();
            assert!(matches!(error, Error::Unproven { step: at } if at == step), "{error}");
            assert_eq!(bmc.done(0, 1).len(), 0);
            until_all_closed(&bmc).await;
        }
    }
    // Packets with a wrong code are no answer.
    let bmc = bmc().await;
    bmc.inject(Fault::at(STATUS, Effect::WrongCode));
    let error = is_on(&client(&bmc)).await.unwrap_err();
    assert_says(&error, Step::Command("Get Chassis Status"), "no answer");
}

#[tokio::test]
async fn answers_that_are_not_what_they_should_be() {
    for data in [vec![], vec![1], vec![0xff; 300]] {
        let bmc = bmc().await;
        bmc.inject(Fault::at(STATUS, Effect::Data(data.clone())));
        if let Err(error) = is_on(&client(&bmc)).await {
            assert_eq!(error.step(), Some(Step::Command("Get Chassis Status")), "{error}");
        } else {
            assert!(data.len() > 3, "{data:?} is no status");
        }
    }
    let bmc = bmc().await;
    bmc.inject(Fault::at(STATUS, Effect::ClaimPower(Power::On)));
    assert!(is_on(&client(&bmc)).await.unwrap());
    assert_eq!(bmc.machine().power(), Power::Off);
}

#[tokio::test]
async fn slots_are_few() {
    let bmc = start(Settings { sessions: 1, ..Settings::default() }).await;
    let first = client(&bmc);
    assert!(!is_on(&first).await.unwrap());
    let error = is_on(&client(&bmc)).await.unwrap_err();
    assert_says(&error, Step::OpenSession, "all session slots");
    assert!(!error.is_credentials_refused());
    first.close().await;
    assert!(!is_on(&client(&bmc)).await.unwrap());
}

#[tokio::test]
async fn both_families() {
    let bmc = start(Settings { address: Ipv6Addr::LOCALHOST.into(), ..Settings::default() }).await;
    assert!(!is_on(&client(&bmc)).await.unwrap());
    assert_eq!(bmc.sessions()[0].suite, Suite::Seventeen);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_bmcs_in_one_process() {
    const BMCS: u16 = 200;
    let machines = (0..BMCS).map(|number| Machine::new(Identity::numbered(number), Timing::immediate()));
    let bmcs = join_all(machines.map(|machine| FakeIpmi::start(machine, Settings::default()))).await;
    let bmcs: Vec<_> = bmcs.into_iter().map(Result::unwrap).collect();
    let patient = |bmc: &FakeIpmi| Client::new(bmc.address(), config("secret"));
    let clients: Vec<_> = bmcs.iter().map(patient).collect();
    let answers = join_all(clients.iter().map(is_on)).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(false))));
    let machine: Arc<Machine> = bmcs[7].machine();
    machine.ask(PowerAction::On, Cause::Button).unwrap();
    let on = join_all(clients.iter().map(is_on)).await.into_iter().filter(|answer| matches!(answer, Ok(true))).count();
    assert_eq!(on, 1);
    join_all(clients.iter().map(Client::close)).await;
    assert!(bmcs.iter().all(|bmc| bmc.sessions().len() == 1 && bmc.open_sessions() == 0));
}
