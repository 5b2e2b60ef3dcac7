//! Writes that an API server has done, by its own metrics.

use anyhow::Result;
use kube::Client;

const VERBS: [&str; 6] = ["POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"];

/// The writes of these resources (plural names) so far, whoever did them. Those of the Lease that the leader renews are apart.
pub async fn of(client: &Client, resources: &[&str]) -> Result<usize> {
    let request = http::Request::get("/metrics").body(Vec::new())?;
    let metrics = client.request_text(request).await?;
    Ok(metrics.lines().filter(|line| is_write(line, resources)).map(count).sum())
}

fn is_write(line: &str, resources: &[&str]) -> bool {
    let label = |name: &str, value: &str| line.contains(&format!("{name}=\"{value}\""));
    line.starts_with("apiserver_request_total{")
        && VERBS.iter().any(|verb| label("verb", verb))
        && resources.iter().any(|name| label("resource", name))
}

/// The value at the end of a line of metrics.
pub fn count(line: &str) -> usize {
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_writes_of_these_resources_count() {
        let line = |verb: &str, resource: &str| {
            format!("apiserver_request_total{{code=\"200\",group=\"x\",resource=\"{resource}\",verb=\"{verb}\"}} 12")
        };
        let is_write = |line: &str| is_write(line, &["nodes", "events"]);
        assert!(is_write(&line("APPLY", "nodes")));
        assert_eq!(count(&line("APPLY", "nodes")), 12);
        assert!(!is_write(&line("PUT", "leases")));
        assert!(!is_write(&line("LIST", "nodes")));
        assert!(!is_write("apiserver_request_duration_seconds_count{verb=\"PUT\",resource=\"nodes\"} 3"));
    }
}
