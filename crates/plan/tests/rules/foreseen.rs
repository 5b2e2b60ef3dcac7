//! What would happen, told before it does.

use slipway_api::container_service::UpdateOrder;
use slipway_plan::container_service::foresee::foresee;
use slipway_plan::formats::compose::model::Condition::{CompletedSuccessfully, Healthy};

use crate::sim::{Shape, World, service, valid};

fn told(world: &World) -> Vec<String> {
    let foresight = foresee(&world.valid, world.generation, &world.nodes(), &world.images(), &world.status, world.now);
    assert!(foresight.waits.is_empty(), "{foresight}");
    foresight.steps.iter().map(|s| format!("{}: {}", s.host, s.step)).collect()
}

#[test]
fn it_is_what_happens_then() {
    let project = |v| {
        let db = service("db", "1").checked().with_volume();
        let migrate = service("migrate", v).once().after("db", Healthy);
        [db, migrate, service("web", v).port(8080).after("migrate", CompletedSuccessfully)]
    };
    for order in [UpdateOrder::StopFirst, UpdateOrder::StartFirst] {
        let mut world = World::new(valid(project("1")), &["a", "b"]);
        world.valid.update.order = order;
        let mut expected = told(&world);
        world.settle();
        expected.sort();
        world.log.sort();
        assert_eq!(world.log, expected);
        assert!(told(&world).is_empty());

        world.forget();
        world.change(project("2"));
        let expected = told(&world);
        world.settle();
        assert_eq!(world.log, expected);
    }
}
