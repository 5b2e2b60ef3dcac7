//! From a request to the operation.

use serde_json::json;

use super::engine::Engine;
use super::http::{Answer, Refusal, Reply, Request};

impl Engine {
    /// Does what a request asks for.
    pub(super) fn handle(&mut self, request: &Request) -> Reply {
        let (newest, oldest) = (self.version.api(), self.version.oldest_api());
        if request.api > newest {
            let message =
                format!("client version 1.{} is too new. Maximum supported API version is 1.{newest}", request.api);
            return Err(Refusal::new(400, message));
        }
        if request.api < oldest {
            let message = format!(
                "client version 1.{} is too old. Minimum supported API version is 1.{oldest}, please upgrade your client to a newer version",
                request.api
            );
            return Err(Refusal::new(400, message));
        }
        let Some(target) = request.target() else { return Err(Refusal::new(404, "page not found")) };
        let of = target.of.as_str();
        match target.name {
            "ping" => {
                Ok(Answer::Bytes { kind: "text/plain; charset=utf-8", headers: Vec::new(), bytes: b"OK".to_vec() })
            }
            "version" => Ok(Answer::Json(200, self.describe_version())),
            "info" => Ok(Answer::Json(200, self.describe_host())),
            "events" => self.follow_events(request),
            "container-list" => self.container_list(request),
            "container-create" => self.container_create(request),
            "container-inspect" => self.container_inspect(of),
            "container-logs" => self.container_logs(of, request),
            "container-start" => self.container_start(of),
            "container-stop" => self.container_stop(of),
            "container-kill" => self.container_kill(of, request),
            "container-restart" => self.container_restart(of),
            "container-pause" => self.container_pause(of, true),
            "container-unpause" => self.container_pause(of, false),
            "container-rename" => self.container_rename(of, request),
            "container-update" => self.container_update(of, request),
            "container-wait" => self.container_wait(of, request),
            "container-remove" => self.container_remove(of, request),
            "archive-put" => self.archive_put(of, request),
            "archive-get" => self.archive_get(of, request),
            "archive-stat" => self.archive_stat(of, request),
            "network-list" => self.network_list(request),
            "network-create" => self.network_create(request),
            "network-inspect" => self.network_inspect(of),
            "network-remove" => self.network_remove(of),
            "network-connect" => self.network_connect(of, request),
            "network-disconnect" => self.network_disconnect(of, request),
            "volume-list" => self.volume_list(request),
            "volume-create" => self.volume_create(request),
            "volume-inspect" => self.volume_inspect(of),
            "volume-remove" => self.volume_remove(of),
            "image-list" => self.image_list(request),
            "image-pull" => Ok(Answer::Pull),
            "image-inspect" => self.image_inspect(of),
            "image-tag" => self.image_tag(of, request),
            "image-remove" => self.image_remove(of, request),
            "distribution-inspect" => self.distribution_inspect(of, request),
            other => Ok(Answer::Json(501, json!({ "message": format!("the fake does not do {other}") }))),
        }
    }

    fn follow_events(&mut self, request: &Request) -> Reply {
        let time = |key: &str| match request.text(key) {
            "" => Ok(None),
            text => nanoseconds(text)
                .map(Some)
                .ok_or_else(|| Refusal::new(500, format!("strconv.ParseInt: parsing \"{text}\": invalid syntax"))),
        };
        let (since, until) = (time("since")?, time("until")?);
        let filters = request.filters()?;
        let history = self.history(since, until, &filters);
        let over = until.is_some_and(|until| until <= self.now().as_nanosecond());
        let incoming = (!over).then(|| self.subscribe());
        Ok(Answer::Events { history, filters, incoming })
    }
}

/// A time as the engine takes it: seconds with up to nine digits behind the point. Other forms are for its clients to turn
/// into this one.
fn nanoseconds(text: &str) -> Option<i128> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i128 = seconds.parse().ok()?;
    let fraction: i128 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(seconds * 1_000_000_000 + fraction)
}

#[cfg(test)]
mod tests {
    use super::nanoseconds;

    #[test]
    fn times_are_read_to_the_nanosecond() {
        assert_eq!(nanoseconds("12"), Some(12_000_000_000));
        assert_eq!(nanoseconds("12.5"), Some(12_500_000_000));
        assert_eq!(nanoseconds("12.000000001"), Some(12_000_000_001));
        assert_eq!(nanoseconds("1970-01-01T00:00:01Z"), None);
    }
}
