use std::sync::Arc;
use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::{Value, json};
use slipway_api::{Node, NodeStatus};
use slipway_plan::Finding;

use super::*;
use crate::reconcile::{Held, Key, Reference};
use crate::testing::Api;

/// What a kind does, as a test wants it.
#[derive(Clone, Default)]
#[allow(clippy::struct_excessive_bools)] // Switches of a test, one for each thing that may go wrong.
struct Script {
    suspended: bool,
    invalid: bool,
    hanging: bool,
    fails: Option<(Class, &'static str)>,
    cleanup_waits: bool,
    cleanup_hangs: bool,
    holds: bool,
}

/// A kind on Node objects that notes its steps.
struct Scripted {
    script: Script,
    steps: Mutex<Vec<&'static str>>,
}

impl Scripted {
    fn note(&self, step: &'static str) {
        self.steps.lock().unwrap().push(step);
    }

    fn steps(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.steps.lock().unwrap())
    }
}

#[async_trait]
impl Kind for Scripted {
    type Object = Node;
    type Inputs = ();
    type Valid = ();
    type Observed = ();
    type Plan = &'static str;
    type Outcome = ();

    const NAME: &'static str = "node";

    fn references(&self, _: &Node) -> Vec<Reference> {
        Vec::new()
    }

    fn suspended(&self, _: &Node) -> bool {
        self.script.suspended
    }

    fn deletion_timeout(&self, _: &Node) -> Duration {
        Duration::from_mins(5)
    }

    async fn read(&self, pass: &Pass<Node>) -> Result<(), Error> {
        assert!(finalizer::present(&*pass.object(), Self::NAME), "the finalizer comes first");
        self.note("read");
        Ok(())
    }

    fn validate(&self, _: &Node, (): ()) -> Result<(), Error> {
        self.note("validate");
        if self.script.invalid {
            return Err(Error::Invalid(vec![Finding::error("EndpointInvalid", "spec.docker.endpoint", "no")]));
        }
        Ok(())
    }

    async fn observe(&self, (): &(), _: &Pass<Node>) -> Result<(), Error> {
        self.note("observe");
        if self.script.hanging {
            std::future::pending::<()>().await;
        }
        match self.script.fails {
            Some((class, reason)) => Err(Error::new(class, reason, "it failed")),
            None => Ok(()),
        }
    }

    fn plan(&self, (): &(), (): &(), _: &Pass<Node>) -> &'static str {
        self.note("plan");
        "do it"
    }

    async fn act(&self, (): &(), (): &(), _: &&'static str, _: &Pass<Node>) -> Result<(), Error> {
        self.note("act");
        Ok(())
    }

    fn report(&self, (): &(), (): &(), _: &&'static str, _: &Acted<()>, pass: &Pass<Node>) -> Report<NodeStatus> {
        self.note("report");
        let verdict = Verdict { state: State::Converged, reason: "Done".into(), message: "done".into() };
        Report::new(pass.status(), &verdict, Next::Settled, pass.generation(), pass.now())
    }

    fn failed(&self, _: &Node, _: &Error) {
        self.note("failed");
    }

    async fn hold(&self, _: &Pass<Node>) -> Option<Held> {
        self.note("hold");
        self.script.holds.then(|| Held { told: "What ran is kept".into(), next: Next::Again })
    }

    async fn cleanup(&self, pass: &Pass<Node>) -> Result<Cleanup, Error> {
        self.note("cleanup");
        if self.script.cleanup_hangs {
            std::future::pending::<()>().await;
        }
        if self.script.cleanup_waits {
            return Ok(Cleanup::Wait {
                reason: "InUse".into(),
                message: "web is here".into(),
                next: Next::At(pass.now()),
            });
        }
        Ok(Cleanup::Done)
    }

    fn abandoned(&self, _: &Node) -> String {
        "two containers".into()
    }
}

const PATH: &str = "/apis/slipway.dev/v1alpha1/namespaces/ns/nodes/n";

/// An API server with one Node, and a kind that does as told.
struct World {
    api: Api,
    context: Arc<crate::context::Context>,
    written: crate::reconcile::pass::Written<Node>,
    kind: Scripted,
}

impl World {
    fn new(script: Script, meta: &Value) -> Self {
        let api = Api::default();
        let mut object = json!({
            "apiVersion": "slipway.dev/v1alpha1", "kind": "Node",
            "metadata": {"name": "n", "namespace": "ns", "uid": "u", "generation": 1},
            "spec": {"docker": {"endpoint": "unix:///d.sock"}},
        });
        for (field, value) in meta.as_object().unwrap() {
            object["metadata"][field] = value.clone();
        }
        api.put(PATH, object);
        let context = api.context();
        let kind = Scripted { script, steps: Mutex::default() };
        Self { api, context, written: crate::reconcile::pass::Written::default(), kind }
    }

    async fn pass(&self) -> Next {
        let object: Node = serde_json::from_value(self.api.get(PATH).unwrap()).unwrap();
        let pass = Pass::new(Scripted::NAME, Arc::new(object), self.context.clone(), self.written.clone());
        assert_eq!(pass.key, Key::new("ns", "n"));
        reconcile(&self.kind, &pass).await
    }

    /// The conditions as `Type=Status/Reason`.
    fn conditions(&self) -> Vec<String> {
        let object = self.api.get(PATH).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let list = object["status"]["conditions"].as_array().unwrap();
        list.iter().map(|c| format!("{}={}/{}", text(&c["type"]), text(&c["status"]), text(&c["reason"]))).collect()
    }

    /// The Events as `Type Reason`, once all are published.
    async fn events(&self) -> Vec<String> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let events = self.api.under("/apis/events.k8s.io/v1/namespaces/ns/events/");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        events.iter().map(|event| format!("{} {}", text(&event["type"]), text(&event["reason"]))).collect()
    }
}

#[tokio::test]
async fn the_steps_have_one_order_and_a_settled_object_costs_no_write() {
    let world = World::new(Script::default(), &json!({}));
    assert_eq!(world.pass().await, Next::Settled);
    assert_eq!(world.kind.steps(), ["read", "validate", "observe", "plan", "act", "report"]);
    let (finalizer, status) = (format!("PATCH {PATH}"), format!("PATCH {PATH}/status"));
    let mut calls = world.api.calls();
    assert_eq!(calls.pop().as_ref(), Some(&status), "the last status comes last");
    calls.sort();
    assert_eq!(calls, [finalizer, status], "the finalizer and the first status, in any order");
    assert_eq!(world.conditions(), ["Ready=True/Done"]);
    assert_eq!(world.events().await, ["Normal Done"]);
    assert_eq!(world.pass().await, Next::Settled);
    assert_eq!(world.api.calls(), Vec::<String>::new());
    assert_eq!(world.events().await.len(), 1);
}

#[tokio::test]
async fn a_suspended_object_is_planned_and_reported_but_not_acted_on() {
    let world = World::new(Script { suspended: true, ..Script::default() }, &json!({}));
    world.pass().await;
    assert_eq!(world.kind.steps(), ["read", "validate", "observe", "plan", "report"]);
}

#[tokio::test]
async fn each_class_of_failure_has_its_conditions_and_its_next_look() {
    for (class, next, conditions) in [
        (Class::Unreachable, Next::Retry, ["Ready=Unknown/Why", "Reconciling=True/Why"]),
        (Class::Transient, Next::Retry, ["Ready=False/Why", "Reconciling=True/Why"]),
        (Class::Conflict, Next::Retry, ["Ready=False/Why", "Reconciling=True/Why"]),
        (Class::Denied, Next::Person, ["Ready=False/Why", "Stalled=True/Why"]),
        (Class::Invalid, Next::Person, ["Ready=False/Why", "Stalled=True/Why"]),
    ] {
        let world = World::new(Script { fails: Some((class, "Why")), ..Script::default() }, &json!({}));
        assert_eq!(world.pass().await, next, "{class:?}");
        assert_eq!(world.conditions(), conditions, "{class:?}");
        assert_eq!(world.kind.steps(), ["read", "validate", "observe", "failed"]);
    }
}

#[tokio::test]
async fn a_failure_is_told_once_even_over_a_restart() {
    let script = Script { fails: Some((Class::Transient, "Why")), ..Script::default() };
    let mut world = World::new(script, &json!({}));
    world.pass().await;
    assert_eq!(world.events().await, ["Warning Why"]);
    world.api.calls();
    world.pass().await;
    world.written = crate::reconcile::pass::Written::default();
    world.pass().await;
    assert_eq!(world.events().await.len(), 1);
    assert_eq!(world.api.calls(), Vec::<String>::new(), "the same failure is not written again");
    world.kind.script.fails = Some((Class::Transient, "Other"));
    world.pass().await;
    assert_eq!(world.events().await, ["Warning Why", "Warning Other"]);
}

#[tokio::test]
async fn what_is_wrong_with_the_spec_stands_in_the_status() {
    let world = World::new(Script { invalid: true, ..Script::default() }, &json!({}));
    assert_eq!(world.pass().await, Next::Person);
    assert_eq!(world.conditions(), ["Ready=False/EndpointInvalid", "Stalled=True/EndpointInvalid"]);
}

#[tokio::test]
async fn what_ran_is_held_while_the_spec_is_refused() {
    let mut world = World::new(Script { invalid: true, holds: true, ..Script::default() }, &json!({}));
    assert_eq!(world.pass().await, Next::Again, "a step was taken: look what came of it");
    assert_eq!(world.kind.steps(), ["read", "validate", "failed", "hold"]);
    assert_eq!(world.conditions(), ["Ready=False/EndpointInvalid", "Stalled=True/EndpointInvalid"]);
    let text = world.api.get(PATH).unwrap()["status"]["conditions"].to_string();
    assert!(text.contains("no (EndpointInvalid). What ran is kept"), "{text}");
    assert_eq!(world.events().await, ["Warning EndpointInvalid"], "told though it goes on at once");
    world.kind.script.suspended = true;
    assert_eq!(world.pass().await, Next::Person);
    assert_eq!(world.kind.steps(), ["read", "validate", "failed"], "suspended: nothing is done");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_hangs_ends_at_its_deadline() {
    let world = World::new(Script { hanging: true, ..Script::default() }, &json!({}));
    assert_eq!(world.pass().await, Next::Retry);
    assert_eq!(world.conditions(), ["Ready=False/Timeout", "Reconciling=True/Timeout"]);
}

#[tokio::test]
async fn events_that_may_not_be_written_fail_nothing() {
    let world = World::new(Script::default(), &json!({}));
    world.api.forbid("/events");
    assert_eq!(world.pass().await, Next::Settled);
    assert_eq!(world.events().await, Vec::<String>::new());
    assert_eq!(world.conditions(), ["Ready=True/Done"]);
}

fn deleted(seconds_ago: i64) -> Value {
    let when = Timestamp::from_second(Timestamp::now().as_second() - seconds_ago).unwrap();
    json!({"deletionTimestamp": when.to_string(), "finalizers": ["slipway.dev/node", "other/one"]})
}

#[tokio::test]
async fn a_deletion_takes_our_finalizer_and_no_other() {
    let world = World::new(Script::default(), &deleted(1));
    world.pass().await;
    assert_eq!(world.kind.steps(), ["cleanup"]);
    assert_eq!(world.api.get(PATH).unwrap()["metadata"]["finalizers"], json!(["other/one"]));
    world.pass().await;
    assert!(world.kind.steps().is_empty(), "what is not ours to hold is not cleaned up twice");
}

#[tokio::test]
async fn a_deletion_that_waits_says_for_what_and_ends_at_its_deadline() {
    let script = Script { cleanup_waits: true, ..Script::default() };
    let world = World::new(script.clone(), &deleted(1));
    assert!(matches!(world.pass().await, Next::At(_)));
    assert_eq!(world.conditions(), ["Ready=False/InUse", "Reconciling=True/InUse"]);
    assert_eq!(world.events().await, Vec::<String>::new());
    let world = World::new(script, &deleted(301));
    world.pass().await;
    assert_eq!(world.api.get(PATH).unwrap()["metadata"]["finalizers"], json!(["other/one"]));
    assert_eq!(world.events().await, ["Warning DeletionAbandoned"]);
    let note = world.api.under("/apis/events.k8s.io/v1/")[0]["note"].as_str().unwrap().to_owned();
    assert!(note.contains("two containers") && note.contains("web is here"), "{note}");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_hangs_ends_all_the_same() {
    let world = World::new(Script { cleanup_hangs: true, ..Script::default() }, &deleted(301));
    world.pass().await;
    assert_eq!(world.api.get(PATH).unwrap()["metadata"]["finalizers"], json!(["other/one"]));
}

#[tokio::test]
async fn a_status_never_lands_on_an_object_made_anew() {
    let world = World::new(Script::default(), &json!({"finalizers": ["slipway.dev/node"]}));
    let object: Node = serde_json::from_value(world.api.get(PATH).unwrap()).unwrap();
    let pass = Pass::new(Scripted::NAME, Arc::new(object), world.context.clone(), world.written.clone());
    let mut anew = world.api.get(PATH).unwrap();
    anew["metadata"]["uid"] = json!("another");
    world.api.put(PATH, anew);
    assert!(matches!(reconcile(&world.kind, &pass).await, Next::At(_)));
    assert!(world.api.get(PATH).unwrap()["status"].is_null());
}
