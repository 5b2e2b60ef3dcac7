//! What each flavour of BMC does and tells.

use std::time::Instant;

use slipway_drivers::Class;
use slipway_drivers::bmc::{Delivered, reasons};
use slipway_fakes::bmc::redfish::{Bug, FakeRedfish, Flavour, Settings};
use slipway_fakes::bmc::{self, Cause, Identity, Machine, Power, PowerAction, Timing};
use slipway_plan::node::bmc::{
    Boot, BootDevice, BootOverride, Command, HealthLevel, Look, Persistence, PowerState, Security,
};

use super::support::{PXE, fake, log_in, outcome, resets, turn_on, with};

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
async fn overrides_that_a_bmc_does_not_have_are_refused_with_what_it_has() {
    let fake = fake(Flavour::OpenBmc).await;
    let bmc = log_in(&fake).await;
    let http = BootOverride { device: BootDevice::UefiHttp, mode: None, persistence: Persistence::Once };
    let error = bmc.execute(&Command::SetBoot(http)).await.unwrap_err();
    assert_eq!(outcome(&error), (reasons::UNSUPPORTED.word, Delivered::No));
    assert!(error.to_string().contains("BiosSetup"), "{error}");
    assert_eq!(fake.count("boot"), 0);
    let idrac = super::support::fake(Flavour::Idrac).await;
    log_in(&idrac).await.execute(&Command::SetBoot(http)).await.unwrap();
    assert_eq!(idrac.machine().boot_override().unwrap().device, bmc::BootDevice::UefiHttp);
    // A Supermicro falls back to legacy mode unless it is told.
    let supermicro = super::support::fake(Flavour::Supermicro).await;
    let cd = BootOverride { device: BootDevice::Cd, mode: None, persistence: Persistence::Persistent };
    log_in(&supermicro).await.execute(&Command::SetBoot(cd)).await.unwrap();
    let set = supermicro.machine().boot_override().unwrap();
    assert_eq!((set.device, set.mode, set.persistent), (bmc::BootDevice::Cd, bmc::BootMode::Uefi, true));
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
