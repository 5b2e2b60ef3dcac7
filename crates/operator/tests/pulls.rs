//! Pulls that fail, and what makes them be tried again.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use slipway_drivers::docker::{Address, Connect, Factory, Pull, RegistryLogin};
use slipway_fakes::docker::{FakeDocker, Image, Registry, Version};
use slipway_operator::container_service::pulls::{PullState, Pulls};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const IMAGE: &str = "reg.lab/web:1";
const SOON: Duration = Duration::from_mins(1);

fn pull(password: &str) -> Pull {
    let login = RegistryLogin {
        server: "reg.lab".into(),
        username: "lab".into(),
        password: password.into(),
        identity_token: None,
    };
    Pull { image: IMAGE.into(), digest: None, platform: None, login: Some(login) }
}

#[tokio::test]
async fn a_mended_login_is_tried_at_once_and_a_wrong_one_waits_out_its_back_off() {
    let registry = Registry::default();
    registry.push(IMAGE, Image::new("web"));
    registry.require_login("reg.lab", "lab", "right");
    let docker = FakeDocker::start_with(Version::V20, registry).await.unwrap();
    let engine = Factory.docker(&Address::Unix(docker.socket())).await.unwrap();
    let stop = CancellationToken::new();
    // Whoever had to wait this out would not be done before the test gives up.
    let pulls = Pulls::new(stop.clone(), Duration::from_mins(5));
    let woken = Arc::new(Notify::new());
    let ensure = |password: &str| {
        let woken = Arc::clone(&woken);
        pulls.ensure("edge", &engine, &pull(password), move || woken.notify_one())
    };

    assert!(matches!(ensure("wrong"), PullState::Running(_)));
    timeout(SOON, woken.notified()).await.unwrap();
    let PullState::Failed(error, wait) = ensure("wrong") else { panic!("it has not failed") };
    assert_eq!(error.reason(), "ImageDenied");
    assert!(wait > Duration::from_mins(4), "{wait:?}");

    assert!(matches!(ensure("right"), PullState::Running(_)), "the mended login waits for the old one's back-off");
    timeout(SOON, woken.notified()).await.unwrap();
    let pulled = docker.calls().iter().filter(|call| call.name == "image-pull").count();
    assert_eq!(pulled, 2);
    assert!(matches!(ensure("wrong"), PullState::Failed(..)), "the wrong one is not asked with again");
    stop.cancel();
    pulls.drain().await;
}
