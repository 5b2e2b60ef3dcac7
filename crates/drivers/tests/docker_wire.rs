//! What the driver makes of an engine that misbehaves on the wire.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, Mutex};

use slipway_drivers::docker::{Address, Connect, Engine, Factory};
use slipway_drivers::{Class, DriverError};
use slipway_plan::container_service::definition::Definition;
use slipway_plan::container_service::observed::Owner;
use slipway_plan::container_service::plan::Step;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// What is done with one request; then the connection is closed.
enum Answer {
    /// Nothing.
    Nothing,
    /// A whole answer.
    Json(u16, String),
    /// The head of a long answer, and so many bytes of it.
    Bytes(usize, usize),
}

use Answer::{Bytes, Json, Nothing};

/// A server that answers by a script, and what it was asked for.
struct Scripted {
    engine: Arc<dyn Engine>,
    asked: Arc<Mutex<Vec<String>>>,
    _task: AbortOnDropHandle<()>,
}

impl Scripted {
    async fn start(script: impl Fn(usize, &str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::PlainTcp { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = asked.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let script = |line: &str| {
                    let mut heard = heard.lock().unwrap();
                    heard.push(line.to_owned());
                    script(heard.iter().filter(|earlier| *earlier == line).count(), line)
                };
                // The client may close first, when it has had enough.
                let _ = answer(stream, script).await;
            }
        });
        let engine = Factory.docker(&address).await.unwrap();
        Self { engine, asked, _task: AbortOnDropHandle::new(task) }
    }

    /// How often this was asked for.
    fn asked(&self, line: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == line).count()
    }
}

async fn answer(mut stream: TcpStream, script: impl Fn(&str) -> Answer + Send) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let line = head.split(" HTTP/").next().unwrap();
    match script(line.split('?').next().unwrap()) {
        Nothing => {}
        Json(status, body) => {
            let head = format!("HTTP/1.1 {status} Said\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await?;
        }
        Bytes(promised, sent) => {
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {promised}\r\n\r\n").as_bytes()).await?;
            let block = vec![b' '; 64 << 10];
            for _ in 0..sent / block.len() {
                stream.write_all(&block).await?;
            }
        }
    }
    stream.shutdown().await
}

fn version(minor: u32) -> Answer {
    Json(200, format!(r#"{{"Version": "26.1.5", "ApiVersion": "1.{minor}"}}"#))
}

fn owner() -> Owner {
    Owner { installation: "a".into(), namespace: "b".into(), name: "c".into() }
}

fn reason<T: std::fmt::Debug>(answer: Result<T, DriverError>) -> (Class, &'static str) {
    let error = answer.unwrap_err();
    eprintln!("{error}");
    (error.class(), error.reason())
}

#[tokio::test]
async fn looking_is_tried_again_when_the_connection_breaks() {
    let engine = Scripted::start(|nth, line| match line {
        "GET /version" => version(41),
        "GET /v1.41/volumes" => Json(200, "{}".into()),
        _ if nth < 3 => Nothing,
        _ => Json(200, "[]".into()),
    })
    .await;
    assert!(engine.engine.owners("a").await.unwrap().is_empty());
    assert_eq!(engine.asked("GET /v1.41/containers/json"), 3);

    let gone = Scripted::start(|_, line| if line == "GET /version" { version(41) } else { Nothing }).await;
    assert_eq!(reason(gone.engine.owners("a").await), (Class::Unreachable, "ConnectionLost"));
}

#[tokio::test]
async fn a_change_is_sent_once() {
    let engine = Scripted::start(|_, line| match line {
        "GET /version" => version(41),
        "GET /v1.41/containers/x/json" => {
            let labels = r#"{"slipway.dev/installation": "a", "slipway.dev/namespace": "b", "slipway.dev/name": "c"}"#;
            Json(200, format!(r#"{{"Id": "x", "State": {{"Status": "exited"}}, "Config": {{"Labels": {labels}}}}}"#))
        }
        _ => Nothing,
    })
    .await;
    let start = Step::StartContainer { name: "x".into() };
    let answer = engine.engine.execute(&owner(), &start, &Definition::default()).await;
    assert_eq!(reason(answer), (Class::Unreachable, "ConnectionLost"));
    assert_eq!(engine.asked("POST /v1.41/containers/x/start"), 1);
}

#[tokio::test]
async fn answers_are_bounded_and_whole() {
    let engine = Scripted::start(|_, line| match line {
        "GET /version" => version(41),
        _ => Bytes(1 << 40, 65 << 20),
    })
    .await;
    assert_eq!(reason(engine.engine.owners("a").await), (Class::Transient, "EngineError"));

    let cut = Scripted::start(|_, line| match line {
        "GET /version" => version(41),
        _ => Bytes(1 << 20, 64 << 10),
    })
    .await;
    assert_eq!(reason(cut.engine.owners("a").await), (Class::Unreachable, "ConnectionLost"));

    let odd = Scripted::start(|_, line| match line {
        "GET /version" => version(41),
        _ => Json(200, "<html>".into()),
    })
    .await;
    assert_eq!(reason(odd.engine.owners("a").await), (Class::Transient, "EngineError"));
}

#[tokio::test]
async fn errors_are_short_and_printable() {
    let engine = Scripted::start(|_, line| match line {
        "GET /version" => version(41),
        _ => Json(500, format!(r#"{{"message": "first line\nsecond \u001b[31m{}"}}"#, "x".repeat(10_000))),
    })
    .await;
    let error = engine.engine.owners("a").await.unwrap_err().to_string();
    assert!(error.contains("first line second  [31mxxx") && error.len() < 600, "{error}");
    assert!(!error.contains(char::is_control), "{error}");
}

#[tokio::test]
async fn an_engine_that_was_replaced_by_an_older_one_is_spoken_to_in_its_version() {
    let engine = Scripted::start(|nth, line| match line {
        "GET /version" => version(if nth == 1 { 45 } else { 41 }),
        line if line.starts_with("GET /v1.45/") => {
            let words = "client version 1.45 is too new. Maximum supported API version is 1.41";
            Json(400, format!(r#"{{"message": "{words}"}}"#))
        }
        "GET /v1.41/volumes" => Json(200, "{}".into()),
        line if line.starts_with("GET /v1.41/") => Json(200, "[]".into()),
        _ => Nothing,
    })
    .await;
    assert!(engine.engine.owners("a").await.unwrap().is_empty());
    assert!(engine.asked("GET /v1.41/volumes") == 1 && engine.asked("GET /version") > 1);
}

#[tokio::test]
async fn events_end_with_an_error_and_skip_what_is_not_understood() {
    use futures::StreamExt;

    let line = r#"{"Type": "container", "Action": "die", "Actor": {"ID": "x", "Attributes": {"slipway.dev/installation": "a",
        "slipway.dev/namespace": "b", "slipway.dev/name": "c"}}, "timeNano": 1700000000123456789}"#;
    let line = line.replace('\n', " ");
    let engine = Scripted::start(move |_, asked| match asked {
        "GET /version" => version(41),
        _ => Json(200, format!("not json\n{{\"Type\": 7}}\n{line}\n")),
    })
    .await;
    let events: Vec<_> = engine.engine.events(None).await.unwrap().collect().await;
    assert_eq!(events[0].as_ref().unwrap().kind, "");
    let die = events.iter().flatten().find(|event| event.action == "die").unwrap();
    assert_eq!((die.owner.clone(), die.at.as_nanosecond()), (Some(owner()), 1_700_000_000_123_456_789));
    assert_eq!(events.last().unwrap().as_ref().unwrap_err().reason(), "ConnectionLost");
}
