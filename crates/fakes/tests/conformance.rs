//! The driver, unchanged, against the fake: the same checks that it passes on real engines.

#![allow(clippy::unwrap_used, clippy::panic)]

use slipway_drivers::docker::conformance::{CHECKS, Suite};
use slipway_drivers::docker::{Address, Connect, Factory};
use slipway_fakes::docker::{FakeDocker, Image, Registry, Version};

async fn conforms(version: Version) {
    let fake = FakeDocker::start_with(version, Registry::default()).await.unwrap();
    fake.load("base:1", Image::new("base"));
    let engine = Factory.docker(&Address::Unix(fake.socket())).await.unwrap();
    let suite = Suite::new(engine, "base:1");
    let mut wrong = Vec::new();
    for (name, check) in CHECKS {
        if let Err(error) = check(&suite).await {
            wrong.push(format!("{name}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CHECKS.len(), wrong.join("\n"));
    println!("{version:?}: {} checks", CHECKS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_engine_conforms() {
    conforms(Version::V20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_engine_conforms() {
    conforms(Version::V26).await;
}
