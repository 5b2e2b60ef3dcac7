//! The Redfish driver against the fake BMC: every flavour, every bug.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slipway_drivers::bmc::{Bmc, CommandError, Delivered, Login, Password, Trust, reasons};
use slipway_drivers::redfish::{connect, reach};
use slipway_drivers::{Class, DriverError};
use slipway_fakes::bmc::redfish::{Bug, FakeRedfish, Flavour, Settings};
use slipway_fakes::bmc::{self, Cause, Happening, Identity, Machine, Power, PowerAction, Timing};
use slipway_fakes::faults::{Effect, Fault};
use slipway_plan::node::bmc::{
    Boot, BootDevice, BootMode, BootOverride, Command, HealthLevel, Look, Persistence, PowerState, Security,
};

const PASSWORD: &str = "secret-123";
const PXE: BootOverride =
    BootOverride { device: BootDevice::Pxe, mode: Some(BootMode::Uefi), persistence: Persistence::Once };

fn login(password: &str) -> Login {
    Login { username: "admin".into(), password: Password::new(password), kg: None }
}

async fn start(settings: Settings) -> FakeRedfish {
    FakeRedfish::start(Machine::new(Identity::numbered(7), Timing::immediate()), settings).await.unwrap()
}

async fn fake(flavour: Flavour) -> FakeRedfish {
    start(Settings::of(flavour)).await
}

async fn log_in(fake: &FakeRedfish) -> Arc<dyn Bmc> {
    connect(&fake.url(), None, &Trust::Any, &login(PASSWORD)).await.unwrap()
}

async fn refusal(fake: &FakeRedfish, password: &str) -> DriverError {
    connect(&fake.url(), None, &Trust::Any, &login(password)).await.map(drop).unwrap_err()
}

/// A BMC with that bug, and the driver logged in to it.
async fn with(flavour: Flavour, bug: Bug) -> (FakeRedfish, Arc<dyn Bmc>) {
    let fake = fake(flavour).await;
    let bmc = log_in(&fake).await;
    fake.has(bug);
    (fake, bmc)
}

fn turn_on(fake: &FakeRedfish) {
    fake.machine().ask(PowerAction::On, Cause::Button).unwrap();
}

fn resets(fake: &FakeRedfish) -> Vec<String> {
    fake.calls().into_iter().filter_map(|call| call.reset).collect()
}

fn outcome(error: &CommandError) -> (&'static str, Delivered) {
    eprintln!("{error}");
    (error.error.reason(), error.delivered)
}

#[tokio::test]
async fn every_flavour_boots_once_from_the_network() {
    for flavour in Flavour::ALL {
        let fake = fake(flavour).await;
        let bmc = log_in(&fake).await;
        let before = bmc.observe(Look::Brief).await.unwrap();
        assert_eq!((before.power, before.boot), (PowerState::Off, Boot::Normal), "{flavour:?}");
        assert_eq!((before.health, before.security), (HealthLevel::Ok, Security::Plain));

        bmc.execute(&Command::SetBoot(PXE)).await.unwrap();
        let set = fake.machine().boot_override().unwrap();
        assert_eq!((set.device, set.mode, set.persistent), (bmc::BootDevice::Pxe, bmc::BootMode::Uefi, false));
        let Boot::Override(read) = bmc.observe(Look::Brief).await.unwrap().boot else { panic!("{flavour:?}") };
        assert_eq!((read.device, read.persistence), (BootDevice::Pxe, Persistence::Once));

        bmc.execute(&Command::PowerOn).await.unwrap();
        let after = bmc.observe(Look::Brief).await.unwrap();
        assert_eq!((after.power, after.boot), (PowerState::On, Boot::Normal), "{flavour:?}");
        assert_eq!(fake.machine().boots().last().unwrap().device, bmc::BootDevice::Pxe);
        // What is so already is not asked for again.
        bmc.execute(&Command::PowerOn).await.unwrap();
        assert_eq!(resets(&fake), ["On"]);

        bmc.execute(&Command::SetBoot(BootOverride { persistence: Persistence::Persistent, ..PXE })).await.unwrap();
        bmc.execute(&Command::ClearBoot).await.unwrap();
        assert_eq!(fake.machine().boot_override(), None);
        assert_eq!(bmc.observe(Look::Brief).await.unwrap().boot, Boot::Normal);

        assert_eq!((fake.sessions(), fake.count("login"), fake.most_at_once()), (1, 1, 1));
        bmc.close().await;
        bmc.close().await;
        assert_eq!((fake.sessions(), fake.count("logout")), (0, 1), "{flavour:?}");
        // And it goes on with a new session.
        bmc.observe(Look::Brief).await.unwrap();
        assert_eq!(fake.sessions(), 1);
    }
}

#[tokio::test]
async fn every_flavour_tells_what_the_host_is_made_of() {
    for flavour in Flavour::ALL {
        let fake = fake(flavour).await;
        let bmc = log_in(&fake).await;
        let inventory = bmc.inventory().await.unwrap();
        assert_eq!(inventory, bmc.inventory().await.unwrap());
        let identity = bmc.identity().await.unwrap();
        assert_eq!(identity.serial.as_deref(), Some("AX100007"), "{flavour:?}");
        assert_eq!(identity.uuid.as_deref(), Some("3d1f0a51-7c22-4b61-9e10-525400000007"));
        assert!(identity.vendor.is_some() && identity.firmware.is_some());
        assert_eq!((inventory.serial, inventory.uuid), (identity.serial, identity.uuid));
        assert_eq!((inventory.cpu_count, inventory.memory_mib), (Some(2), Some(98_304)));
        assert_eq!((inventory.cpus.len(), inventory.cpus[0].cores), (2, Some(32)), "without the GPU");
        assert_eq!((inventory.memory.len(), inventory.disks.len()), (3, 2), "{flavour:?}");
        let macs: Vec<_> = inventory.nics.iter().filter_map(|nic| nic.mac.as_deref()).collect();
        assert_eq!(macs, ["52:54:00:00:07:01", "52:54:00:00:07:02"]);
        assert_eq!(inventory.firmware.len(), 2);
        assert_eq!(fake.most_at_once(), 1);
    }
}

#[tokio::test]
async fn every_flavour_tells_which_part_is_unwell() {
    for flavour in Flavour::ALL {
        for (part, reading) in [("CPU1 Temp", Some("96.5 °C")), ("PSU 2", None), ("A1", None)] {
            let fake = fake(flavour).await;
            let bmc = log_in(&fake).await;
            let health = bmc.health().await.unwrap();
            assert_eq!((health.level, health.worst), (HealthLevel::Ok, None));
            fake.hurt("Fan 3", "Warning");
            fake.hurt(part, "Critical");
            assert_eq!(bmc.observe(Look::Brief).await.unwrap().health, HealthLevel::Critical);
            let health = bmc.health().await.unwrap();
            let worst = health.worst.unwrap();
            assert_eq!(
                (health.level, worst.name.as_str(), worst.level),
                (HealthLevel::Critical, part, HealthLevel::Critical)
            );
            if reading.is_some() {
                assert_eq!(worst.reading.as_deref(), reading, "{flavour:?}");
            }
        }
    }
}

#[tokio::test]
async fn every_flavour_shows_its_newest_events_and_evidence_of_a_restart() {
    for flavour in Flavour::ALL {
        let fake = fake(flavour).await;
        let bmc = log_in(&fake).await;
        // More than a page of the log.
        for _ in 0..40 {
            turn_on(&fake);
            fake.machine().ask(PowerAction::Off, Cause::Button).unwrap();
        }
        turn_on(&fake);
        let entries = bmc.sel(3).await.unwrap();
        assert_eq!(entries.len(), 3);
        assert_eq!(entries[0].message, "The system booted from Disk.", "{flavour:?}");
        assert!(entries.windows(2).all(|pair| pair[0].at >= pair[1].at));
        assert_eq!(bmc.sel(10_000).await.unwrap().len(), fake.machine().events().len());

        let before = bmc.observe(Look::Evidence).await.unwrap().evidence;
        assert_eq!(bmc.observe(Look::Evidence).await.unwrap().evidence, before);
        fake.machine().ask(PowerAction::Reset, Cause::Button).unwrap();
        assert_ne!(bmc.observe(Look::Evidence).await.unwrap().evidence, before, "{flavour:?}");
    }
}

#[tokio::test]
async fn media_is_inserted_changed_and_ejected() {
    for flavour in [Flavour::Idrac, Flavour::Ilo, Flavour::Supermicro] {
        for bug in [None, Some(Bug::WantsTransferProtocol), Some(Bug::NoMediaActions)] {
            let fake = fake(flavour).await;
            fake.has(bug.clone().unwrap_or(Bug::IgnoresIfMatch));
            let bmc = log_in(&fake).await;
            for image in ["http://images.example/a.iso", &format!("http://images.example/{}.iso", "b".repeat(300))] {
                bmc.execute(&Command::InsertMedia { image: image.into() }).await.unwrap();
                assert_eq!(fake.image().as_deref(), Some(image), "{flavour:?} {bug:?}");
                assert_eq!(bmc.observe(Look::Brief).await.unwrap().media.unwrap().image.as_deref(), Some(image));
                fake.forget_calls();
                bmc.execute(&Command::InsertMedia { image: image.into() }).await.unwrap();
                assert_eq!(fake.count("media-insert") + fake.count("media"), 0, "it is there already");
            }
            bmc.execute(&Command::EjectMedia).await.unwrap();
            assert_eq!((fake.image(), bmc.observe(Look::Brief).await.unwrap().media.unwrap().image), (None, None));
        }
    }
    let fake = fake(Flavour::OpenBmc).await;
    let bmc = log_in(&fake).await;
    assert_eq!(bmc.observe(Look::Brief).await.unwrap().media, None);
    let error = bmc.execute(&Command::EjectMedia).await.unwrap_err();
    assert_eq!(outcome(&error), (reasons::UNSUPPORTED.word, Delivered::No));
}

#[tokio::test]
async fn a_password_is_changed_and_the_new_one_logs_in() {
    for flavour in Flavour::ALL {
        let fake = fake(flavour).await;
        let bmc = log_in(&fake).await;
        bmc.set_password(&Password::new("another-456")).await.unwrap();
        assert!(fake.has_password("another-456"));
        // Also after the BMC has ended the session over it.
        fake.forget_sessions();
        bmc.observe(Look::Brief).await.unwrap();
        assert_eq!(fake.denials(), 0);
        connect(&fake.url(), None, &Trust::Any, &login("another-456")).await.unwrap();
    }
}

#[tokio::test]
async fn a_bmc_that_wants_a_new_password_first_gets_it() {
    for flavour in Flavour::ALL {
        let fake = fake(flavour).await;
        fake.has(Bug::WantsNewPassword);
        fake.has(Bug::PasswordEndsSessions);
        // The login is good; nothing else is.
        let bmc = log_in(&fake).await;
        let error = bmc.observe(Look::Brief).await.unwrap_err();
        assert_eq!(error.reason(), reasons::PASSWORD_CHANGE_REQUIRED.word, "{flavour:?} {error}");
        bmc.set_password(&Password::new("another-456")).await.unwrap();
        bmc.observe(Look::Brief).await.unwrap();
        assert_eq!(fake.denials(), 0);
    }
}

#[tokio::test]
async fn a_power_cycle_that_a_bmc_does_not_offer_is_off_and_on() {
    for (flavour, sent) in [(Flavour::Idrac, &["PowerCycle"][..]), (Flavour::Ilo, &["ForceOff", "On"])] {
        let fake = fake(flavour).await;
        turn_on(&fake);
        let bmc = log_in(&fake).await;
        bmc.execute(&Command::PowerCycle).await.unwrap();
        assert_eq!(resets(&fake), sent, "{flavour:?}");
        fake.machine().until_power(Power::On).await;
        assert_eq!(fake.machine().boots().len(), 2);
    }
    // It does not go off: nothing more is sent, and what came of it is not known.
    let fake = fake(Flavour::Ilo).await;
    turn_on(&fake);
    let bmc = log_in(&fake).await;
    fake.machine().set_stuck(true);
    let error = bmc.execute(&Command::PowerCycle).await.unwrap_err();
    assert_eq!((outcome(&error).1, resets(&fake)), (Delivered::Maybe, vec!["ForceOff".to_owned()]));
}

#[tokio::test]
async fn a_quiet_look_is_at_most_two_requests_and_none_of_them_a_login() {
    for flavour in Flavour::ALL {
        let fake = fake(flavour).await;
        let bmc = log_in(&fake).await;
        fake.forget_calls();
        for _ in 0..3 {
            bmc.observe(Look::Brief).await.unwrap();
        }
        assert!(fake.calls().len() <= 6, "{flavour:?}: {:?}", fake.calls());
        assert_eq!((fake.count("login"), fake.connections()), (0, 1));
    }
}

#[tokio::test]
async fn only_resets_that_the_bmc_offers_are_sent_each_once() {
    use Command::{ForceOff, GracefulRestart, PowerCycle, Reset, ShutDown};
    let table = [
        (Flavour::Idrac, ShutDown, Some("GracefulShutdown")),
        (Flavour::Idrac, GracefulRestart, None),
        (Flavour::Idrac, PowerCycle, Some("PowerCycle")),
        (Flavour::Ilo, GracefulRestart, Some("GracefulRestart")),
        (Flavour::Supermicro, Reset, Some("ForceRestart")),
        (Flavour::OpenBmc, ForceOff, Some("ForceOff")),
    ];
    for (flavour, command, value) in table {
        for bug in [None, Some(Bug::HasActionInfo)] {
            let fake = fake(flavour).await;
            turn_on(&fake);
            if let Some(bug) = bug {
                fake.has(bug);
            }
            let bmc = log_in(&fake).await;
            let done = bmc.execute(&command).await;
            assert_eq!(resets(&fake), Vec::from_iter(value), "{flavour:?} {command}");
            if value.is_none() {
                let error = done.unwrap_err();
                assert_eq!(outcome(&error), (reasons::UNSUPPORTED.word, Delivered::No));
                assert!(error.to_string().contains("ForceRestart"), "{error} names what there is");
            }
        }
    }
}

#[tokio::test]
async fn a_bmc_that_hides_what_it_offers_is_asked_and_its_refusal_said() {
    let (fake, bmc) = with(Flavour::Ilo, Bug::HidesResets).await;
    turn_on(&fake);
    bmc.execute(&Command::Reset).await.unwrap();
    fake.has(Bug::UnknownResetIs501);
    let error = bmc.execute(&Command::PowerCycle).await.unwrap_err();
    assert_eq!(outcome(&error), (reasons::UNSUPPORTED.word, Delivered::No));
    assert_eq!(resets(&fake), ["ForceRestart", "PowerCycle"]);
}

#[tokio::test]
async fn a_reset_of_what_is_off_is_a_changed_state() {
    for flavour in [Flavour::Idrac, Flavour::Ilo, Flavour::OpenBmc] {
        let fake = fake(flavour).await;
        let bmc = log_in(&fake).await;
        let error = bmc.execute(&Command::Reset).await.unwrap_err();
        assert_eq!((error.class(), error.delivered), (Class::Conflict, Delivered::No), "{flavour:?} {error}");
    }
}

#[tokio::test]
async fn a_reset_whose_reply_was_lost_is_never_sent_again() {
    for (fault, happens) in
        [(Fault::after("reset", Effect::Disconnect), true), (Fault::before("reset", Effect::Disconnect), false)]
    {
        let fake = fake(Flavour::Idrac).await;
        turn_on(&fake);
        let bmc = log_in(&fake).await;
        fake.inject(fault.nth(1));
        let error = bmc.execute(&Command::PowerCycle).await.unwrap_err();
        assert_eq!(outcome(&error), (reasons::CONNECTION_LOST.word, Delivered::Maybe));
        let cycles = fake
            .machine()
            .events()
            .iter()
            .filter(|event| matches!(event.what, Happening::Asked(PowerAction::Cycle, _)))
            .count();
        assert_eq!((resets(&fake).len(), cycles), (1, usize::from(happens)));
        bmc.observe(Look::Brief).await.unwrap();
        assert_eq!(resets(&fake).len(), 1);
    }
}

#[tokio::test]
async fn a_refused_reset_did_not_happen_and_is_not_repeated() {
    let fake = fake(Flavour::Idrac).await;
    turn_on(&fake);
    let bmc = log_in(&fake).await;
    fake.inject(Fault::before("reset", Effect::Fail(503, "not now".into())).nth(1));
    let error = bmc.execute(&Command::Reset).await.unwrap_err();
    assert_eq!(outcome(&error), (reasons::BUSY.word, Delivered::No));
    fake.inject(Fault::after("reset", Effect::Fail(500, "oh".into())).nth(1));
    let error = bmc.execute(&Command::Reset).await.unwrap_err();
    assert_eq!(outcome(&error), (reasons::FAILED.word, Delivered::Maybe));
    assert_eq!(resets(&fake).len(), 2);
    // An expired session says that nothing was done, so that one is sent again.
    fake.faults().clear();
    fake.inject(Fault::before("reset", Effect::Fail(401, "no session".into())).nth(1));
    bmc.execute(&Command::Reset).await.unwrap();
    assert_eq!((resets(&fake).len(), fake.count("login")), (4, 2));
}

#[tokio::test]
async fn a_bmc_that_went_away_got_nothing() {
    let fake = fake(Flavour::Ilo).await;
    let bmc = log_in(&fake).await;
    drop(fake);
    let error = bmc.execute(&Command::PowerOn).await.unwrap_err();
    assert_eq!(error.delivered, Delivered::No);
    assert_eq!(error.class(), Class::Unreachable);
    assert_eq!(bmc.observe(Look::Brief).await.unwrap_err().reason(), reasons::CONNECTION_REFUSED.word);
    bmc.close().await;
}

#[tokio::test]
async fn refused_credentials_are_sent_once() {
    for flavour in Flavour::ALL {
        let fake = fake(flavour).await;
        let error = refusal(&fake, "wrong").await;
        assert_eq!(
            (error.class(), error.reason()),
            (Class::Denied, reasons::CREDENTIALS_REFUSED.word),
            "{flavour:?}: {error}"
        );
        assert!(!error.to_string().contains("wrong"), "{error}");
        assert_eq!(fake.denials(), 1);

        // A session that was good and a password that no longer is.
        let bmc = log_in(&fake).await;
        fake.set_password("changed-789");
        fake.forget_sessions();
        for _ in 0..3 {
            let error = bmc.observe(Look::Brief).await.unwrap_err();
            assert_eq!(error.reason(), reasons::CREDENTIALS_REFUSED.word, "{error}");
            assert_eq!(bmc.execute(&Command::PowerOn).await.unwrap_err().delivered, Delivered::No);
        }
        bmc.close().await;
        assert_eq!(bmc.inventory().await.unwrap_err().class(), Class::Denied);
        assert_eq!(fake.denials(), 2, "{flavour:?}");
    }
    let fake = start(Settings { locks_after: Some(1), ..Settings::of(Flavour::Idrac) }).await;
    refusal(&fake, "wrong").await;
    assert_eq!(refusal(&fake, PASSWORD).await.reason(), reasons::ACCOUNT_LOCKED.word);
}

#[tokio::test]
async fn basic_serves_where_there_are_no_sessions() {
    for status in [404, 405, 501] {
        let fake = fake(Flavour::OpenBmc).await;
        fake.has(Bug::NoSessions(status));
        let bmc = log_in(&fake).await;
        turn_on(&fake);
        assert_eq!(bmc.observe(Look::Brief).await.unwrap().power, PowerState::On);
        bmc.close().await;
        assert_eq!((fake.denials(), fake.sessions()), (0, 0));
        let error = refusal(&fake, "wrong").await;
        assert_eq!(error.reason(), reasons::CREDENTIALS_REFUSED.word);
        assert_eq!(fake.denials(), 1);
        // Basic sends the password with each request: it too is sent no more.
        fake.set_password("changed-789");
        for _ in 0..3 {
            bmc.observe(Look::Brief).await.unwrap_err();
        }
        assert_eq!(fake.denials(), 2);
    }
}

#[tokio::test]
async fn a_forgotten_session_is_renewed_once() {
    let fake = fake(Flavour::Ilo).await;
    let bmc = log_in(&fake).await;
    fake.forget_sessions();
    bmc.observe(Look::Brief).await.unwrap();
    assert_eq!((fake.count("login"), fake.sessions()), (2, 1));
    fake.has(Bug::ForgetsSessions(0));
    let error = bmc.observe(Look::Brief).await.unwrap_err();
    assert_eq!(error.reason(), reasons::PRIVILEGE_MISSING.word, "{error}");
    assert_eq!(fake.count("login"), 3);
}

#[tokio::test]
async fn a_login_without_its_proper_status_counts() {
    let fake = fake(Flavour::Idrac).await;
    fake.has(Bug::LoginAnswers204);
    let bmc = log_in(&fake).await;
    bmc.close().await;
    assert_eq!((fake.count("login"), fake.sessions()), (1, 0));
}

#[tokio::test]
async fn full_session_slots_are_said_and_not_worked_around() {
    for flavour in Flavour::ALL {
        let fake = start(Settings { sessions: 1, ..Settings::of(flavour) }).await;
        let first = log_in(&fake).await;
        let error = refusal(&fake, PASSWORD).await;
        assert_eq!((error.class(), error.reason()), (Class::Transient, reasons::SESSIONS_FULL.word), "{error}");
        first.close().await;
        log_in(&fake).await;
        assert_eq!(fake.denials(), 0);
    }
}

#[tokio::test]
async fn etags_are_sent_and_every_way_of_refusing_them_is_got_over() {
    for flavour in Flavour::ALL {
        for (bug, patches) in [
            (Bug::IgnoresIfMatch, 1),
            (Bug::WantsIfMatch, 1),
            (Bug::RefusesWeakEtags, if matches!(flavour, Flavour::Ilo | Flavour::Supermicro) { 2 } else { 1 }),
            (Bug::RefusesEveryEtag, if matches!(flavour, Flavour::Ilo | Flavour::Supermicro) { 3 } else { 2 }),
        ] {
            let (fake, bmc) = with(flavour, bug.clone()).await;
            bmc.execute(&Command::SetBoot(PXE)).await.unwrap();
            assert!(fake.machine().boot_override().is_some());
            assert_eq!(fake.count("boot"), patches, "{flavour:?} {bug:?}");
        }
    }
}

#[tokio::test]
async fn a_busy_bmc_is_waited_for_as_long_as_it_asks_and_there_is_time() {
    let (fake, bmc) = with(Flavour::Idrac, Bug::Busy(Some(1))).await;
    let look = tokio::spawn({
        let bmc = bmc.clone();
        async move { bmc.observe(Look::Brief).await }
    });
    while fake.count("system") < 3 {
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fake.is_mended();
    look.await.unwrap().unwrap();

    fake.has(Bug::Busy(Some(600)));
    let began = Instant::now();
    let error = bmc.observe(Look::Brief).await.unwrap_err();
    assert_eq!((error.class(), error.reason()), (Class::Transient, reasons::BUSY.word));
    assert!(error.to_string().contains("600 s"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_task_is_waited_for() {
    let (fake, bmc) = with(Flavour::Idrac, Bug::ResetIsTask(Duration::from_millis(300))).await;
    bmc.execute(&Command::PowerOn).await.unwrap();
    assert!(fake.count("task") > 0);
    assert_eq!(fake.machine().power(), Power::On);

    let (fake, bmc) = with(Flavour::Idrac, Bug::ResetTaskFails).await;
    let error = bmc.execute(&Command::PowerOn).await.unwrap_err();
    assert_eq!(outcome(&error), (reasons::FAILED.word, Delivered::Maybe));
    assert!(error.to_string().contains("The host did not follow"), "{error}");
    assert_eq!(resets(&fake).len(), 1);
}

#[tokio::test]
async fn a_task_that_never_ends_is_given_up_and_nothing_sent_again() {
    let (fake, bmc) = with(Flavour::Ilo, Bug::ResetTaskNeverEnds).await;
    let began = Instant::now();
    let error = bmc.execute(&Command::PowerOn).await.unwrap_err();
    assert_eq!(outcome(&error), (reasons::BUSY.word, Delivered::Maybe));
    assert!(began.elapsed() < Duration::from_secs(45));
    assert_eq!(resets(&fake).len(), 1);
}

#[tokio::test]
async fn a_slow_bmc_is_waited_for() {
    let fake = fake(Flavour::Supermicro).await;
    let bmc = log_in(&fake).await;
    fake.inject(Fault::before("system", Effect::Slow(Duration::from_secs(10))).nth(1));
    bmc.observe(Look::Brief).await.unwrap();
    assert_eq!(fake.count("login"), 1);
}

#[tokio::test]
async fn a_silent_bmc_is_given_up() {
    let fake = fake(Flavour::Supermicro).await;
    let bmc = log_in(&fake).await;
    fake.inject(Fault::before("reset", Effect::Hang));
    turn_on(&fake);
    let error = bmc.execute(&Command::Reset).await.unwrap_err();
    assert_eq!(outcome(&error), (reasons::TIMED_OUT.word, Delivered::Maybe));
    fake.faults().clear();
    assert_eq!(resets(&fake).len(), 1);
}

#[tokio::test]
async fn a_read_is_repeated_over_a_lost_connection() {
    let fake = fake(Flavour::Idrac).await;
    let bmc = log_in(&fake).await;
    fake.inject(Fault::before("system", Effect::Disconnect).nth(1));
    bmc.observe(Look::Brief).await.unwrap();
    fake.cut();
    bmc.observe(Look::Brief).await.unwrap();
    assert_eq!(fake.count("login"), 1);
}

#[tokio::test]
async fn hostile_answers_are_errors_and_nothing_worse() {
    for flavour in Flavour::ALL {
        for bug in [Bug::HugeBodies, Bug::DeepJson, Bug::NotJson] {
            let (_fake, bmc) = with(flavour, bug.clone()).await;
            for error in [
                bmc.observe(Look::Evidence).await.map(drop).unwrap_err(),
                bmc.inventory().await.map(drop).unwrap_err(),
                bmc.health().await.map(drop).unwrap_err(),
                bmc.identity().await.map(drop).unwrap_err(),
            ] {
                assert_eq!(
                    (error.class(), error.reason()),
                    (Class::Transient, reasons::ANSWER_INVALID.word),
                    "{bug:?}: {error}"
                );
                assert!(error.to_string().len() < 1000);
            }
            let error = bmc.execute(&Command::SetBoot(PXE)).await.unwrap_err();
            assert_eq!(error.delivered, Delivered::No);
        }
        let (fake, bmc) = with(flavour, Bug::WrongTypes).await;
        let seen = bmc.observe(Look::Evidence).await.unwrap();
        assert_eq!((seen.power, seen.boot, seen.health), (PowerState::Unknown, Boot::Unknown, HealthLevel::Unknown));
        let inventory = bmc.inventory().await.unwrap();
        assert_eq!((inventory.cpu_count, inventory.memory_mib), (None, None));
        assert!(inventory.cpus.iter().all(|cpu| cpu.model.is_none() && cpu.cores.is_none()));
        bmc.health().await.unwrap();
        assert!(bmc.sel(10).await.unwrap().is_empty());
        assert!(fake.calls().len() < 100, "{flavour:?}: {}", fake.calls().len());
    }
}

#[tokio::test]
async fn links_to_another_host_are_followed_on_this_one() {
    for flavour in Flavour::ALL {
        let fake = fake(flavour).await;
        fake.has(Bug::LinksElsewhere);
        let bmc = log_in(&fake).await;
        bmc.execute(&Command::PowerOn).await.unwrap();
        assert_eq!(bmc.inventory().await.unwrap().cpus.len(), 2);
        bmc.close().await;
        assert_eq!((fake.machine().power(), fake.sessions()), (Power::On, 0));
    }
}

#[tokio::test]
async fn odd_trees_are_understood() {
    let (fake, bmc) = with(Flavour::OpenBmc, Bug::NullMembers).await;
    assert!(bmc.sel(5).await.unwrap().is_empty());
    turn_on(&fake);
    assert!(!bmc.sel(5).await.unwrap().is_empty());

    let fake = self::fake(Flavour::Idrac).await;
    fake.has(Bug::HasBootSettings);
    let bmc = log_in(&fake).await;
    bmc.execute(&Command::SetBoot(PXE)).await.unwrap();
    assert!(
        matches!(bmc.observe(Look::Brief).await.unwrap().boot, Boot::Override(read) if read.device == BootDevice::Pxe)
    );
    bmc.execute(&Command::ClearBoot).await.unwrap();
    assert_eq!(bmc.observe(Look::Brief).await.unwrap().boot, Boot::Normal);
}

#[tokio::test]
async fn what_the_bmc_lies_about_is_told_as_it_says() {
    let (fake, bmc) = with(Flavour::Idrac, Bug::LiesAboutPower("Off")).await;
    turn_on(&fake);
    assert_eq!(bmc.observe(Look::Brief).await.unwrap().power, PowerState::Off);

    let (fake, bmc) = with(Flavour::Idrac, Bug::NeverReadsBackOnce).await;
    bmc.execute(&Command::SetBoot(PXE)).await.unwrap();
    assert_eq!(fake.count("boot"), 1, "set once, whatever is read back");
    assert!(!fake.machine().boot_override().unwrap().persistent);
}

#[tokio::test]
async fn overrides_that_a_bmc_does_not_have_are_refused_with_what_it_has() {
    let fake = fake(Flavour::OpenBmc).await;
    let bmc = log_in(&fake).await;
    let http = BootOverride { device: BootDevice::UefiHttp, mode: None, persistence: Persistence::Once };
    let error = bmc.execute(&Command::SetBoot(http)).await.unwrap_err();
    assert_eq!(outcome(&error), (reasons::UNSUPPORTED.word, Delivered::No));
    assert!(error.to_string().contains("BiosSetup"), "{error}");
    assert_eq!(fake.count("boot"), 0);
    let idrac = self::fake(Flavour::Idrac).await;
    log_in(&idrac).await.execute(&Command::SetBoot(http)).await.unwrap();
    assert_eq!(idrac.machine().boot_override().unwrap().device, bmc::BootDevice::UefiHttp);
    // A Supermicro falls back to legacy mode unless it is told.
    let supermicro = self::fake(Flavour::Supermicro).await;
    let cd = BootOverride { device: BootDevice::Cd, mode: None, persistence: Persistence::Persistent };
    log_in(&supermicro).await.execute(&Command::SetBoot(cd)).await.unwrap();
    let set = supermicro.machine().boot_override().unwrap();
    assert_eq!((set.device, set.mode, set.persistent), (bmc::BootDevice::Cd, bmc::BootMode::Uefi, true));
}

#[tokio::test]
async fn the_system_is_the_named_one_or_the_only_one() {
    let fake = fake(Flavour::Ilo).await;
    fake.has(Bug::TwoSystems);
    let error = refusal(&fake, PASSWORD).await;
    assert_eq!(error.reason(), reasons::SYSTEM_NOT_FOUND.word);
    assert!(error.to_string().contains("/redfish/v1/Systems/second"), "{error}");
    assert_eq!(fake.sessions(), 0, "nothing stays open");
    connect(&fake.url(), Some("/redfish/v1/Systems/1"), &Trust::Any, &login(PASSWORD)).await.unwrap();
    let missing = connect(&fake.url(), Some("/redfish/v1/Systems/9"), &Trust::Any, &login(PASSWORD)).await;
    let error = missing.map(drop).unwrap_err();
    assert_eq!(error.reason(), reasons::SYSTEM_NOT_FOUND.word);
    assert!(error.to_string().contains("/redfish/v1/Systems/1"), "{error}");
}

#[tokio::test]
async fn a_system_on_a_later_page_counts_and_a_slash_at_the_end_does_not() {
    let fake = fake(Flavour::OpenBmc).await;
    fake.has(Bug::TwoSystems);
    fake.has(Bug::PagesOfOne);
    let error = refusal(&fake, PASSWORD).await;
    assert_eq!(error.reason(), reasons::SYSTEM_NOT_FOUND.word);
    assert!(error.to_string().contains("2 systems"), "{error}");
    let named = connect(&fake.url(), Some("/redfish/v1/Systems/system/"), &Trust::Any, &login(PASSWORD)).await.unwrap();
    let inventory = named.inventory().await.unwrap();
    assert_eq!((inventory.memory.len(), inventory.cpus.len()), (3, 2), "of all pages");
}

#[tokio::test]
async fn a_service_root_that_wants_a_login_is_no_refusal_of_ours() {
    let fake = fake(Flavour::OpenBmc).await;
    fake.has(Bug::RootWantsLogin);
    reach(&fake.url(), &Trust::Any).await.unwrap();
    let bmc = log_in(&fake).await;
    bmc.execute(&Command::PowerOn).await.unwrap();
    assert_eq!((bmc.observe(Look::Brief).await.unwrap().power, fake.count("login")), (PowerState::On, 1));
}

#[tokio::test]
async fn a_reset_that_was_not_made_here_is_sent_where_the_bmc_says() {
    let (fake, bmc) = with(Flavour::OpenBmc, Bug::MovesResets).await;
    bmc.execute(&Command::PowerOn).await.unwrap();
    assert_eq!(fake.machine().boots().len(), 1, "made once");
    assert_eq!(fake.calls().iter().filter(|call| call.name == "reset" && call.status != Some(307)).count(), 1);
}

#[tokio::test]
async fn values_in_capitals_are_understood() {
    let fake = fake(Flavour::OpenBmc).await;
    let bmc = log_in(&fake).await;
    turn_on(&fake);
    bmc.execute(&Command::SetBoot(PXE)).await.unwrap();
    fake.has(Bug::Shouts);
    let seen = bmc.observe(Look::Brief).await.unwrap();
    let Boot::Override(boot) = seen.boot else { panic!("{:?}", seen.boot) };
    assert_eq!((seen.power, boot.device, boot.persistence), (PowerState::On, BootDevice::Pxe, Persistence::Once));
}

#[tokio::test]
async fn secrets_that_a_bmc_quotes_are_not_shown() {
    let (_fake, bmc) = with(Flavour::Idrac, Bug::QuotesRequests).await;
    let error = bmc.set_password(&Password::new("short")).await.unwrap_err();
    assert_eq!(outcome(&error), (reasons::REFUSED.word, Delivered::No));
    assert!(!error.to_string().contains("short"), "{error}");

    let fake = fake(Flavour::Idrac).await;
    fake.has(Bug::QuotesRequests);
    let error = refusal(&fake, "hunter2-hunter2").await;
    assert!(error.to_string().contains("You sent") && !error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn being_reached_is_no_try_of_credentials() {
    let fake = fake(Flavour::Ilo).await;
    reach(&fake.url(), &Trust::Any).await.unwrap();
    let seen: BTreeSet<_> = fake.calls().into_iter().map(|call| call.name).collect();
    assert_eq!((Vec::from_iter(seen), fake.denials()), (vec!["root"], 0));
    fake.inject(Fault::before("root", Effect::Fail(404, "nothing here".into())));
    let error = reach(&fake.url(), &Trust::Any).await.unwrap_err();
    assert_eq!((error.class(), error.reason()), (Class::Invalid, reasons::NOT_A_BMC.word));
    let url = fake.url();
    drop(fake);
    assert_eq!(reach(&url, &Trust::Any).await.unwrap_err().reason(), reasons::CONNECTION_REFUSED.word);
    let error = reach("http://no-such-bmc.invalid", &Trust::Any).await.unwrap_err();
    assert_eq!((error.class(), error.reason()), (Class::Unreachable, reasons::NAME_NOT_FOUND.word));
    assert_eq!(reach("ftp://127.0.0.1", &Trust::Any).await.unwrap_err().class(), Class::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_live_in_one_process() {
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..300_u16 {
        tasks.spawn(async move {
            let flavour = Flavour::ALL[usize::from(number) % 4];
            let machine = Machine::new(Identity::numbered(number), Timing::immediate());
            let fake = FakeRedfish::start(machine, Settings::of(flavour)).await.unwrap();
            let bmc = log_in(&fake).await;
            bmc.execute(&Command::PowerOn).await.unwrap();
            assert_eq!(bmc.observe(Look::Brief).await.unwrap().power, PowerState::On);
            bmc.close().await;
            assert_eq!((fake.sessions(), fake.most_at_once(), resets(&fake).len()), (0, 1, 1));
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    println!("300 BMCs: login, power on, look, logout in {:?}", began.elapsed());
}

#[tokio::test]
async fn a_body_that_is_compressed_unasked_is_read_within_its_bound() {
    let (fake, bmc) = with(Flavour::Idrac, Bug::Compresses).await;
    turn_on(&fake);
    bmc.execute(&Command::SetBoot(PXE)).await.unwrap();
    assert_eq!(bmc.observe(Look::Evidence).await.unwrap().power, PowerState::On);
    fake.has(Bug::HugeBodies);
    let error = bmc.observe(Look::Brief).await.unwrap_err();
    assert_eq!(error.reason(), reasons::ANSWER_INVALID.word);
    assert!(error.to_string().contains("more than 4 MiB"), "{error}");
    let (fake, bmc) = with(Flavour::Ilo, Bug::OnlyCompressed).await;
    bmc.observe(Look::Brief).await.unwrap();
    bmc.inventory().await.unwrap();
    assert_eq!(fake.calls().iter().filter(|call| call.status == Some(406)).count(), 1, "it learns");
    let (_fake, bmc) = with(Flavour::Ilo, Bug::CompressesOddly).await;
    let error = bmc.observe(Look::Brief).await.unwrap_err();
    assert!(error.to_string().contains("(zstd), though that was not asked for"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_kept_busy_is_not_kept_for_ever() {
    let fake = fake(Flavour::Idrac).await;
    let bmc = log_in(&fake).await;
    let before = fake.connections();
    for _ in 0..70 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bmc.observe(Look::Brief).await.unwrap();
    }
    let more = fake.connections() - before;
    assert!((1..20).contains(&more), "{more} connections for 70 looks in 70 s");
}
