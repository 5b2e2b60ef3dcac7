//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Looks until the probe succeeds, and returns what it found. After `within` it fails with the probe's last error.
///
/// The looks start 20 ms apart and get rarer, up to 250 ms.
pub async fn eventually<T, P, F>(what: &str, within: Duration, mut probe: P) -> Result<T>
where
    P: FnMut() -> F,
    F: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + within;
    let mut pause = Duration::from_millis(20);
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
        let outcome = match tokio::time::timeout(left, probe()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(anyhow::anyhow!("no answer within {left:?}")),
        };
        match outcome {
            Ok(found) => return Ok(found),
            Err(error) if Instant::now() >= deadline => {
                return Err(error).with_context(|| format!("waited {within:?} for: {what}"));
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 5 / 4).min(Duration::from_millis(250));
    }
}
