//! Sessions, credentials and passwords, and how often a BMC is asked.

use std::collections::BTreeSet;
use std::time::Duration;

use slipway_drivers::Class;
use slipway_drivers::bmc::{Delivered, Password, Trust, reasons};
use slipway_drivers::redfish::{connect, reach};
use slipway_fakes::bmc::redfish::{Bug, Flavour, Settings};
use slipway_fakes::faults::{Effect, Fault};
use slipway_plan::node::bmc::{Command, Look, PowerState};

use super::support::{PASSWORD, fake, log_in, login, outcome, refusal, start, turn_on, with};

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
async fn a_service_root_that_wants_a_login_is_no_refusal_of_ours() {
    let fake = fake(Flavour::OpenBmc).await;
    fake.has(Bug::RootWantsLogin);
    reach(&fake.url(), &Trust::Any).await.unwrap();
    let bmc = log_in(&fake).await;
    bmc.execute(&Command::PowerOn).await.unwrap();
    assert_eq!((bmc.observe(Look::Brief).await.unwrap().power, fake.count("login")), (PowerState::On, 1));
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

#[tokio::test]
async fn a_login_and_a_service_root_that_have_moved_are_found() {
    let fake = fake(Flavour::OpenBmc).await;
    fake.has(Bug::MovesRoot);
    fake.has(Bug::MovesLogins);
    reach(&fake.url(), &Trust::Any).await.unwrap();
    assert_eq!(fake.denials(), 0);
    let bmc = log_in(&fake).await;
    assert_eq!(bmc.observe(Look::Brief).await.unwrap().power, PowerState::Off);
    assert_eq!((fake.sessions(), fake.count("login")), (1, 2), "the password goes once to each of the two places");
    bmc.close().await;
    assert_eq!(fake.sessions(), 0);
    // What leads to another host leads nowhere.
    fake.has(Bug::RedirectsElsewhere);
    let error = reach(&fake.url(), &Trust::Any).await.unwrap_err();
    assert_eq!(error.reason(), reasons::NOT_A_BMC.word);
    assert!(error.to_string().contains("redirects"), "{error}");
    refusal(&fake, PASSWORD).await;
    assert_eq!(fake.count("login"), 2, "no password was sent");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_no_locked_account() {
    for (words, reason) in [
        ("The clock of the service is wrong.", reasons::CREDENTIALS_REFUSED),
        ("The account is locked out for 300 seconds.", reasons::ACCOUNT_LOCKED),
        ("User is blocked.", reasons::ACCOUNT_LOCKED),
    ] {
        let fake = fake(Flavour::Ilo).await;
        fake.inject(Fault::before("login", Effect::Fail(401, words.into())));
        let error = refusal(&fake, PASSWORD).await;
        assert_eq!(error.reason(), reason.word, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
