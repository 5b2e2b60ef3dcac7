//! What becomes of a request: lost, refused, busy, slow, a task.

use std::time::{Duration, Instant};

use slipway_drivers::Class;
use slipway_drivers::bmc::{Delivered, reasons};
use slipway_fakes::bmc::redfish::{Bug, Flavour, Settings};
use slipway_fakes::bmc::{Happening, Power, PowerAction};
use slipway_fakes::faults::{Effect, Fault};
use slipway_plan::node::bmc::{Command, Look};

use super::support::{PXE, fake, log_in, outcome, resets, start, turn_on, with};

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
async fn a_reset_that_was_not_made_here_is_sent_where_the_bmc_says() {
    let (fake, bmc) = with(Flavour::OpenBmc, Bug::MovesResets).await;
    bmc.execute(&Command::PowerOn).await.unwrap();
    assert_eq!(fake.machine().boots().len(), 1, "made once");
    assert_eq!(fake.calls().iter().filter(|call| call.name == "reset" && call.status != Some(307)).count(), 1);
}

#[tokio::test]
async fn what_a_monitor_cannot_tell_leaves_the_reset_that_was_taken_in_doubt() {
    for (fault, reason) in [
        (Fault::before("task", Effect::Fail(500, "oh".into())), reasons::FAILED),
        (Fault::before("task", Effect::Fail(403, "not for you".into())), reasons::PRIVILEGE_MISSING),
        (Fault::before("task", Effect::Disconnect), reasons::CONNECTION_LOST),
    ] {
        let (fake, bmc) = with(Flavour::Idrac, Bug::ResetIsTask(Duration::from_millis(300))).await;
        turn_on(&fake);
        fake.inject(fault);
        let error = bmc.execute(&Command::Reset).await.unwrap_err();
        assert_eq!(outcome(&error), (reason.word, Delivered::Maybe));
        assert_eq!(resets(&fake).len(), 1);
        fake.faults().clear();
    }
    // The monitor's own answer may be that the operation was refused.
    let (fake, bmc) = with(Flavour::Idrac, Bug::ResetIsTask(Duration::from_millis(300))).await;
    fake.inject(Fault::before("task", Effect::Fail(400, "no such reset".into())));
    assert_eq!(outcome(&bmc.execute(&Command::PowerOn).await.unwrap_err()), (reasons::REFUSED.word, Delivered::No));
}

#[tokio::test]
async fn a_session_that_ends_while_a_task_runs_is_renewed_and_the_task_waited_for() {
    let (fake, bmc) = with(Flavour::OpenBmc, Bug::ResetIsTask(Duration::from_secs(1))).await;
    let under_way = tokio::spawn(async move { bmc.execute(&Command::PowerOn).await });
    while fake.count("task") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fake.forget_sessions();
    under_way.await.unwrap().unwrap();
    assert_eq!((fake.count("login"), resets(&fake).len(), fake.denials()), (2, 1, 0));
    // There is no slot for another one.
    let fake = start(Settings { sessions: 1, ..Settings::of(Flavour::OpenBmc) }).await;
    let bmc = log_in(&fake).await;
    fake.has(Bug::ResetTaskNeverEnds);
    fake.inject(Fault::before("login", Effect::Fail(503, "The maximum number of sessions is reached.".into())));
    let under_way = tokio::spawn(async move { bmc.execute(&Command::PowerOn).await });
    while fake.count("task") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fake.forget_sessions();
    let error = under_way.await.unwrap().unwrap_err();
    assert_eq!((outcome(&error).1, resets(&fake).len()), (Delivered::Maybe, 1));
}

#[tokio::test]
async fn a_task_that_nobody_is_told_of_is_not_waited_for() {
    let (fake, bmc) = with(Flavour::Supermicro, Bug::ResetTaskIsHidden).await;
    bmc.execute(&Command::PowerOn).await.unwrap();
    assert_eq!((fake.machine().power(), resets(&fake).len(), fake.count("task")), (Power::On, 1, 0));
}

#[tokio::test]
async fn a_boot_override_that_waits_for_the_next_start_is_taken() {
    let fake = fake(Flavour::Idrac).await;
    fake.has(Bug::HasBootSettings);
    fake.has(Bug::BootIsTaskThatWaits);
    let bmc = log_in(&fake).await;
    bmc.execute(&Command::SetBoot(PXE)).await.unwrap();
    assert_eq!((fake.count("boot"), fake.count("task")), (1, 1));
    assert!(fake.machine().boot_override().is_some());
}
