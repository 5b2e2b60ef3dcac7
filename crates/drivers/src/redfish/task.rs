//! What a BMC does not do at once: tasks (DSP0266, "Asynchronous operations").

use std::time::Duration;

use http::{HeaderMap, Method};
use tokio::time::{Instant, sleep_until};

use super::client::{Client, location};
use super::errors::{Failure, Refusal, retry_after};
use super::json::{parse, path, word};
use super::wire::{Answer, Lost};
use crate::bmc::{Delivered, reasons};

/// A task is looked at so often, unless the BMC says when.
const TASK_PAUSE: Duration = Duration::from_secs(1);
/// A task is waited for so long; what became of it is observed anyway.
const TASK: Duration = Duration::from_secs(25);

impl Client {
    /// Waits for the task that an answer may stand for. What is to come into force `later`, with the next start of the host, is
    /// taken when its task waits.
    pub(super) async fn finish(&mut self, answer: Answer, later: bool) -> Result<(), Failure> {
        if answer.status != 202 {
            return Ok(());
        }
        let body = parse(&answer.body).unwrap_or_default();
        let located = location(&answer);
        // Without a way to ask there is nothing to wait for: what was done is observed anyway.
        let Some(monitor) = located.or_else(|| path(&body, "/@odata.id")) else { return Ok(()) };
        let mut pause = retry_after(&answer.headers).map_or(TASK_PAUSE, Duration::from_secs);
        let end = Instant::now() + TASK;
        loop {
            let next = Instant::now() + pause.max(TASK_PAUSE / 4);
            if next >= end {
                let what = match pause.as_secs() {
                    later if later > TASK_PAUSE.as_secs() => {
                        format!("the task {monitor} goes on; the BMC asks to look at it again in {later} s")
                    }
                    _ => format!("the task {monitor} did not end within {} s", TASK.as_secs()),
                };
                return Err(Failure::Lost(Lost { error: reasons::BUSY.error(what), delivered: Delivered::Maybe }));
            }
            sleep_until(next).await;
            let answer = match self.call(Method::GET, &monitor, None, HeaderMap::new(), false).await {
                // A monitor is gone once its result was fetched, by whomever.
                Err(Failure::Refused(refusal)) if matches!(refusal.status, 404 | 410) => return Ok(()),
                // What the task came to is the answer of its monitor. That it cannot be looked at says nothing of the task.
                Err(Failure::Lost(lost)) => return Err(Failure::Lost(Lost { delivered: Delivered::Maybe, ..lost })),
                Err(Failure::Refused(refusal)) if !matches!(refusal.status, 400 | 405 | 409 | 412 | 501) => {
                    return Err(Failure::Refused(Refusal { is_in_doubt: true, ..refusal }));
                }
                answer => answer?,
            };
            pause = retry_after(&answer.headers).map_or(TASK_PAUSE, Duration::from_secs);
            let body = parse(&answer.body).unwrap_or_default();
            match word(&body, "/TaskState").as_deref() {
                // Some say that they have completed what failed.
                Some("completed") if word(&body, "/TaskStatus").as_deref() != Some("critical") => return Ok(()),
                Some("exception" | "killed" | "cancelled" | "interrupted" | "completed") => {
                    let refusal = Refusal::read(&body, &self.secrets(None));
                    let error = refusal.as_error(reasons::FAILED, &format!("the task {monitor} failed"));
                    return Err(Failure::Lost(Lost { error, delivered: Delivered::Maybe }));
                }
                Some("new" | "pending") if later => return Ok(()),
                Some(_) => {}
                None if answer.status == 202 => {}
                None => return Ok(()),
            }
        }
    }
}
