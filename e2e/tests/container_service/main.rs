//! ContainerService on real engines, through a real API server, by the real binary.

mod bed;
mod changes;
mod conflicts;
mod control_plane;
mod crash;
mod faults;
mod gate;
mod hostile;
mod hosts;
mod images;
mod lifecycle;
mod ways;

use std::sync::Arc;

use anyhow::Result;
use slipway_e2e::lab::namespace::TestNamespace;
use slipway_e2e::lab::{Part, can_run, with_namespace};

/// Runs a test in a namespace of its own, if this machine can run it.
async fn on_site<T, F>(test: T) -> Result<()>
where
    T: FnOnce(Arc<TestNamespace>) -> F,
    F: Future<Output = Result<()>>,
{
    if !can_run(&[Part::Cluster, Part::Docker]) {
        return Ok(());
    }
    with_namespace(test).await
}
