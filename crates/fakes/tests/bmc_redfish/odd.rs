//! Trees and bodies that are not as the specification has them.

use std::time::Duration;

use slipway_drivers::Class;
use slipway_drivers::bmc::{Delivered, Trust, reasons};
use slipway_drivers::redfish::connect;
use slipway_fakes::bmc::Power;
use slipway_fakes::bmc::redfish::{Bug, Flavour};
use slipway_fakes::faults::{Effect, Fault};
use slipway_plan::node::bmc::{Boot, BootDevice, Command, HealthLevel, Look, Persistence, PowerState};

use super::support::{PASSWORD, PXE, fake, log_in, login, refusal, turn_on, with};

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

    let fake = super::support::fake(Flavour::Idrac).await;
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

#[tokio::test]
async fn a_bmc_that_shows_no_system_yet_is_waited_for() {
    for named in [None, Some("/redfish/v1/Systems/System.Embedded.1")] {
        let fake = fake(Flavour::Idrac).await;
        fake.has(Bug::NoSystems);
        let error = connect(&fake.url(), named, &Trust::Any, &login(PASSWORD)).await.map(drop).unwrap_err();
        assert_eq!((error.class(), error.reason()), (Class::Transient, reasons::BUSY.word), "{error}");
        assert!(error.to_string().contains("shows no system at all"), "{error}");
        assert_eq!((fake.sessions(), fake.denials()), (0, 0));
        fake.is_mended();
        connect(&fake.url(), named, &Trust::Any, &login(PASSWORD)).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_there_is_found_without_the_links_that_should_lead_to_it() {
    for bug in [Bug::RootWithoutLinks, Bug::LinksWithoutSlash, Bug::MembersWithoutLinks] {
        let fake = fake(Flavour::OpenBmc).await;
        fake.has(bug.clone());
        let bmc = log_in(&fake).await;
        bmc.execute(&Command::PowerOn).await.unwrap();
        assert_eq!(bmc.observe(Look::Evidence).await.unwrap().power, PowerState::On, "{bug:?}");
        let inventory = bmc.inventory().await.unwrap();
        assert_eq!((inventory.cpus.len(), inventory.memory.len(), inventory.disks.len()), (2, 3, 2), "{bug:?}");
        assert!(bmc.sel(3).await.unwrap().len() == 3, "{bug:?}");
        bmc.close().await;
        assert_eq!(fake.sessions(), 0, "{bug:?}");
    }
}

#[tokio::test]
async fn pages_that_lead_in_a_circle_are_read_once() {
    let fake = fake(Flavour::OpenBmc).await;
    turn_on(&fake);
    fake.has(Bug::PagesOfOne);
    fake.has(Bug::PagesInCircles);
    let bmc = log_in(&fake).await;
    let inventory = bmc.inventory().await.unwrap();
    assert_eq!((inventory.cpus.len(), inventory.memory.len(), inventory.nics.len()), (2, 3, 2));
    assert_eq!(bmc.sel(1000).await.unwrap().len(), fake.machine().events().len());
    assert!(fake.calls().len() < 150, "{}", fake.calls().len());
}

#[tokio::test]
async fn bytes_that_are_no_text_spoil_one_field_and_not_the_host() {
    for flavour in Flavour::ALL {
        let fake = fake(flavour).await;
        fake.has(Bug::SpoiltTexts);
        let bmc = log_in(&fake).await;
        bmc.execute(&Command::PowerOn).await.unwrap();
        assert_eq!(bmc.observe(Look::Brief).await.unwrap().power, PowerState::On);
        let inventory = bmc.inventory().await.unwrap();
        assert_eq!((inventory.cpu_count, inventory.memory.len()), (Some(2), 3), "{flavour:?}");
        assert!(inventory.serial.unwrap().ends_with("AX100007"));
        assert!(inventory.memory[0].serial.as_ref().unwrap().chars().all(|c| !c.is_control()));
    }
}

#[tokio::test]
async fn a_part_that_cannot_be_shown_hides_no_other_part_and_stops_nothing() {
    for (part, status) in [
        ("VirtualMedia", 403),
        ("VirtualMedia", 500),
        ("Storage", 403),
        ("Memory/B", 500),
        ("Managers", 403),
        ("Chassis", 502),
        ("LogServices", 500),
    ] {
        for flavour in Flavour::ALL {
            let fake = fake(flavour).await;
            fake.has(Bug::Answers(part, status));
            let bmc = log_in(&fake).await;
            bmc.execute(&Command::PowerOn).await.unwrap();
            let seen = bmc.observe(Look::Evidence).await.unwrap();
            assert_eq!(seen.power, PowerState::On, "{flavour:?} {part}");
            let inventory = bmc.inventory().await.unwrap();
            assert_eq!((inventory.cpu_count, inventory.cpus.len(), inventory.nics.len()), (Some(2), 2, 2), "{part}");
            fake.hurt("CPU1 Temp", "Critical");
            assert_eq!(bmc.health().await.unwrap().level, HealthLevel::Critical, "{flavour:?} {part}");
            bmc.identity().await.unwrap();
            bmc.sel(5).await.unwrap();
            bmc.close().await;
            assert_eq!(fake.sessions(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bmc_that_is_slow_is_spared_what_takes_dozens_of_answers() {
    let fake = fake(Flavour::Ilo).await;
    let bmc = log_in(&fake).await;
    let quick = bmc.inventory().await.unwrap();
    for call in ["system", "read"] {
        fake.inject(Fault::before(call, Effect::Slow(Duration::from_secs(10))));
    }
    fake.forget_calls();
    let slow = bmc.inventory().await.unwrap();
    assert_eq!((slow.cpu_count, slow.memory_mib, slow.serial), (quick.cpu_count, quick.memory_mib, quick.serial));
    assert!(slow.cpus.is_empty() && slow.memory.is_empty() && !quick.cpus.is_empty());
    assert!(fake.calls().len() <= 3, "{:?}", fake.calls());
    fake.hurt("Fan 3", "Warning");
    fake.forget_calls();
    let health = bmc.health().await.unwrap();
    assert_eq!((health.level, health.worst), (HealthLevel::Warning, None));
    assert!(fake.calls().len() <= 3, "{:?}", fake.calls());
}
