//! What Prometheus sees. No label ever names an object: their number has no bound.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// A kind and how something ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindOutcome {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Call {
    driver: &'static str,
    op: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfReason {
    reason: &'static str,
}

/// The counters of this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Family<KindOutcome, Counter>,
    reconcile_seconds: Family<OfKind, Histogram>,
    status_writes: Family<KindOutcome, Counter>,
    events: Family<KindOutcome, Counter>,
    driver_calls: Family<Call, Counter>,
    driver_seconds: Family<Call, Histogram>,
    api_errors: Family<OfReason, Counter>,
    lease_held: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let reconciles = Family::default();
        let reconcile_seconds = Family::<OfKind, Histogram>::new_with_constructor(histogram);
        let status_writes = Family::default();
        let events = Family::default();
        let driver_calls = Family::default();
        let driver_seconds = Family::<Call, Histogram>::new_with_constructor(histogram);
        let api_errors = Family::default();
        let lease_held = Gauge::default();
        let mut r = Registry::with_prefix("slipway");
        // The registry adds `_total` to counters.
        r.register("reconcile", "Passes over an object, by how they ended", reconciles.clone());
        r.register("reconcile_seconds", "Time of one pass", reconcile_seconds.clone());
        r.register(
            "status_writes",
            "Status writes: written, failed or skipped as nothing differed",
            status_writes.clone(),
        );
        r.register("events", "Events published, failed or dropped", events.clone());
        r.register("driver_call", "Calls to hosts, by how they ended", driver_calls.clone());
        r.register("driver_call_seconds", "Time of one call to a host", driver_seconds.clone());
        r.register("api_errors", "Failed calls to the API server", api_errors.clone());
        r.register("lease_held", "1 while this process is the leader", lease_held.clone());
        Self {
            registry: r,
            reconciles,
            reconcile_seconds,
            status_writes,
            events,
            driver_calls,
            driver_seconds,
            api_errors,
            lease_held,
        }
    }
}

/// 1 ms to 65 s.
fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 9))
}

impl Metrics {
    /// A pass ended.
    pub fn reconciled(&self, kind: &'static str, outcome: &'static str, took: Duration) {
        self.reconciles.get_or_create(&KindOutcome { kind, outcome }).inc();
        self.reconcile_seconds.get_or_create(&OfKind { kind }).observe(took.as_secs_f64());
    }

    /// A status was `written`, `skipped`, `failed` or `timed_out`.
    pub fn status_write(&self, kind: &'static str, outcome: &'static str) {
        self.status_writes.get_or_create(&KindOutcome { kind, outcome }).inc();
    }

    /// An Event was `published`, `failed` or `dropped`.
    pub fn event(&self, kind: &'static str, outcome: &'static str) {
        self.events.get_or_create(&KindOutcome { kind, outcome }).inc();
    }

    /// A call to a host ended; `outcome` is `ok` or the error's reason.
    pub fn driver_call(&self, driver: &'static str, op: &'static str, outcome: &'static str, took: Duration) {
        let call = Call { driver, op, outcome };
        self.driver_calls.get_or_create(&call).inc();
        self.driver_seconds.get_or_create(&call).observe(took.as_secs_f64());
    }

    /// A call to the API server failed.
    pub fn api_error(&self, reason: &'static str) {
        self.api_errors.get_or_create(&OfReason { reason }).inc();
    }

    /// The lease was taken or lost.
    pub fn lease(&self, held: bool) {
        self.lease_held.set(i64::from(held));
    }

    /// The exposition text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_the_documented_ones() {
        let metrics = Metrics::default();
        metrics.reconciled("node", "settled", Duration::from_millis(3));
        metrics.status_write("node", "written");
        metrics.event("node", "published");
        metrics.driver_call("docker", "ping", "ok", Duration::from_millis(1));
        metrics.api_error("Timeout");
        metrics.lease(true);
        let text = metrics.encode();
        for line in [
            "slipway_reconcile_total{kind=\"node\",outcome=\"settled\"} 1",
            "slipway_reconcile_seconds_count{kind=\"node\"} 1",
            "slipway_status_writes_total{kind=\"node\",outcome=\"written\"} 1",
            "slipway_events_total{kind=\"node\",outcome=\"published\"} 1",
            "slipway_driver_call_total{driver=\"docker\",op=\"ping\",outcome=\"ok\"} 1",
            "slipway_driver_call_seconds_count{driver=\"docker\",op=\"ping\",outcome=\"ok\"} 1",
            "slipway_api_errors_total{reason=\"Timeout\"} 1",
            "slipway_lease_held 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
