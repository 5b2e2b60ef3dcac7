//! What every engine must do with a network that is to be made anew.

use bollard_stubs::models::{EndpointIpamConfig, EndpointSettings};
use slipway_api::labels;
use slipway_plan::container_service::observed::State;
use slipway_plan::container_service::plan::Step;

use super::bench::key;
use super::{Outcome, Suite, ensure, refused};
use crate::Class;

impl Suite {
    pub(super) async fn a_network_is_tried_beside_the_one_in_use(&self) -> Outcome {
        let mut bench = self.bench("tried");
        bench.network("tried_net").network("tried_other").container("web", &["tried_net"]);
        bench.subnet("tried_net", "10.97.1.0/24");
        bench.subnet("tried_other", "10.97.2.0/24");
        bench.sweep().await?;
        bench.make().await?;
        bench.execute(&bench.start("web")).await?;
        let before = bench.observe().await?.networks;
        let attempt = Step::TryNetwork { name: "tried_net".into() };
        bench.execute(&attempt).await?;
        bench.subnet("tried_net", "10.97.1.0/25");
        bench.execute(&attempt).await?;
        bench.subnet("tried_net", "10.97.0.0/16");
        refused(bench.take(&attempt).await, Class::Invalid, "SubnetOverlaps")?;
        bench.subnet("tried_net", "10.97.3.0/24");
        bench.execute(&attempt).await?;
        if let Some(network) = bench.definition.networks.get_mut("tried_net") {
            network.body.driver = Some("nothing-of-the-kind".into());
        }
        ensure!(bench.take(&attempt).await.is_err(), "a driver that is not there was found");
        let after = bench.observe().await?.networks;
        ensure!(before == after, "not as it was: {before:?}, then {after:?}");
        bench.sweep().await
    }

    pub(super) async fn a_network_comes_back_as_it_was_with_what_was_bound_to_it(&self) -> Outcome {
        let mut bench = self.bench("kept");
        bench.network("kept_net").network("kept_other").container("web", &["kept_other", "kept_net"]);
        bench.subnet("kept_net", "10.97.8.0/24");
        let place = EndpointSettings {
            aliases: Some(vec!["store".into()]),
            ipam_config: Some(EndpointIpamConfig {
                ipv4_address: Some("10.97.8.77".into()),
                ..EndpointIpamConfig::default()
            }),
            ..EndpointSettings::default()
        };
        let container = bench.definition.containers.get_mut(&key("web")).ok_or("no container")?;
        container.networks[1].1 = place;
        bench.sweep().await?;
        bench.make().await?;
        bench.execute(&bench.start("web")).await?;
        let before = bench.only().await?;
        let id = before.network_ids.get("kept_net").cloned().ok_or("it is not bound to the network")?;
        let keep = Step::KeepNetwork { name: "kept_net".into(), id: id.clone(), containers: vec![before.id.clone()] };
        bench.execute(&keep).await?;
        bench.execute(&keep).await?;
        let kept = bench.observe().await?.kept_networks.remove("kept_net").ok_or("it is not on record")?;
        ensure!(kept.id == id && kept.hash.as_deref() == Some("n1"), "the record: {kept:?}");

        let (name, grace_seconds) = (before.name.clone(), 1);
        bench.execute(&Step::StopContainer { id: before.id.clone(), name: name.clone(), grace_seconds }).await?;
        bench.execute(&Step::RemoveNetwork { name: "kept_net".into(), id: id.clone() }).await?;
        if let Some(network) = bench.definition.networks.get_mut("kept_net") {
            network.hash = "n2".into();
            network.body.labels.get_or_insert_default().insert(labels::REVISION.into(), "n2".into());
        }
        bench.subnet("kept_net", "10.97.9.0/24");
        bench.execute(&Step::CreateNetwork { name: "kept_net".into() }).await?;
        let new = bench.observe().await?.networks.remove("kept_net").ok_or("the new network is not seen")?;
        bench.execute(&Step::RemoveNetwork { name: "kept_net".into(), id: new.id }).await?;

        let restore = Step::RestoreNetwork { name: "kept_net".into() };
        bench.execute(&restore).await?;
        bench.execute(&restore).await?;
        let again = bench.observe().await?.networks.remove("kept_net").ok_or("it did not come back")?;
        ensure!(again.id != id && again.hash.as_deref() == Some("n1"), "it came back as {again:?}");
        let rebind = Step::RebindContainer { id: before.id.clone(), name: name.clone(), network: "kept_net".into() };
        bench.execute(&rebind).await?;
        bench.execute(&rebind).await?;
        let bound = bench.only().await?;
        ensure!(bound.network_ids.get("kept_net") != Some(&id), "it is bound to what is gone: {bound:?}");
        bench.execute(&bench.start("web")).await?;
        let after = bench.only().await?;
        ensure!(after.state == State::Running && after.networks == before.networks, "it came back as {after:?}");
        ensure!(after.network_ids.get("kept_net") == Some(&again.id), "it is bound to another: {after:?}");
        bench.execute(&Step::RemoveVolume { name: kept.volume }).await?;
        ensure!(bench.observe().await?.kept_networks.is_empty(), "the record is there still");
        bench.sweep().await
    }
}
