//! The driver against real engines. Without root or dockerd there is nothing to run it against: that is said, loudly.

mod support;

use slipway_drivers::docker::conformance::{self, Suite};
use support::Dockerd;

#[tokio::test(flavor = "multi_thread")]
async fn a_real_engine_conforms() {
    let Some(dockerd) = Dockerd::start("conform") else { return };
    let suite = Suite::new(dockerd.engine().await, dockerd.image());
    conformance::run(&suite).await.unwrap();
}
