//! Bursts of triggers: the first counts at once, those that follow are taken together.

use std::collections::HashMap;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use tokio::time::{Instant, sleep_until};

use super::kind::Key;

/// Yields each key at once, but none twice within `pause`: what comes in between is yielded once, at its end.
pub fn calm(keys: BoxStream<'static, Key>, pause: Duration) -> BoxStream<'static, Key> {
    let state = Calm { keys, pause, quiet_until: HashMap::new(), held: HashMap::new() };
    stream::unfold(state, |mut state| async move {
        let key = state.next().await?;
        Some((key, state))
    })
    .boxed()
}

struct Calm {
    keys: BoxStream<'static, Key>,
    pause: Duration,
    /// When a key that was yielded lately may be yielded again.
    quiet_until: HashMap<Key, Instant>,
    /// Keys that wait for that.
    held: HashMap<Key, Instant>,
}

impl Calm {
    async fn next(&mut self) -> Option<Key> {
        loop {
            let due = self.held.iter().min_by_key(|(_, due)| **due).map(|(key, due)| (key.clone(), *due));
            let key = tokio::select! {
                key = self.keys.next() => key?,
                key = at(due) => {
                    self.held.remove(&key);
                    key
                }
            };
            let now = Instant::now();
            self.quiet_until.retain(|_, until| *until > now);
            if let Some(until) = self.quiet_until.get(&key) {
                self.held.insert(key, *until);
            } else {
                self.quiet_until.insert(key.clone(), now + self.pause);
                return Some(key);
            }
        }
    }
}

/// The key, when it is due; never without one.
async fn at(due: Option<(Key, Instant)>) -> Key {
    match due {
        Some((key, due)) => {
            sleep_until(due).await;
            key
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::time::advance;

    use super::*;

    const PAUSE: Duration = Duration::from_millis(250);

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_two_looks() {
        let (send, receive) = tokio::sync::mpsc::unbounded_channel();
        let mut keys = calm(tokio_stream::wrappers::UnboundedReceiverStream::new(receive).boxed(), PAUSE);
        let (a, b) = (Key::new("ns", "a"), Key::new("ns", "b"));
        for key in [&a, &a, &b, &a] {
            send.send(key.clone()).unwrap();
        }
        assert_eq!(keys.next().now_or_never(), Some(Some(a.clone())), "the first counts at once");
        assert_eq!(keys.next().now_or_never(), Some(Some(b)), "another object's does not wait for it");
        assert_eq!(keys.next().now_or_never(), None);
        advance(PAUSE).await;
        assert_eq!(keys.next().await, Some(a), "the rest of the burst is one look");
        advance(PAUSE).await;
        assert_eq!(keys.next().now_or_never(), None);
        drop(send);
        assert_eq!(keys.next().await, None);
    }
}
