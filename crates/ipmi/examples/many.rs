//! The power of many BMCs, read over and over at the same time, and what that costs.
//!
//! `many ROUNDS < addresses` with the login in `IPMI_USERNAME` and `IPMI_PASSWORD`. It opens a session with each BMC, reads
//! the power of all of them `ROUNDS` times, closes the sessions, and prints as JSON the seconds of time and of CPU that each of
//! these took: of all rounds the one in the middle.

use std::error::Error;
use std::io::Read as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use slipway_ipmi::commands::chassis::GetChassisStatus;
use slipway_ipmi::{Client, Config, Credentials};
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let rounds: usize = std::env::args().nth(1).ok_or("usage: many ROUNDS < addresses")?.parse()?;
    let credentials = Credentials::new(std::env::var("IPMI_USERNAME")?, std::env::var("IPMI_PASSWORD")?)?;
    let mut addresses = String::new();
    std::io::stdin().read_to_string(&mut addresses)?;
    let addresses: Vec<SocketAddr> = addresses.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let bmcs: Vec<_> =
        addresses.into_iter().map(|address| Client::new(address, Config::new(credentials.clone()))).collect();

    let opened = Cost::of(each(&bmcs, |bmc| async move { bmc.open().await.map(drop) })).await?;
    let mut reads = Vec::new();
    for _ in 0..rounds {
        reads.push(Cost::of(each(&bmcs, |bmc| async move { bmc.run(&GetChassisStatus).await.map(drop) })).await?);
    }
    reads.sort_by_key(|read| read.time);
    let closed = Cost::of(each(&bmcs, |bmc| async move {
        bmc.close().await;
        Ok(())
    }))
    .await?;
    let read = reads.get(reads.len() / 2).ok_or("no round")?;
    println!("{}", json!({"open": opened.shown(), "read": read.shown(), "close": closed.shown()}));
    Ok(())
}

/// Does it with all of them at once.
async fn each<F>(bmcs: &[Client], act: fn(Client) -> F) -> Outcome<()>
where
    F: Future<Output = Result<(), slipway_ipmi::Error>> + Send + 'static,
{
    let mut all: JoinSet<_> = bmcs.iter().cloned().map(act).collect();
    while let Some(one) = all.join_next().await {
        one??;
    }
    Ok(())
}

/// What something took.
struct Cost {
    time: Duration,
    cpu: Duration,
}

impl Cost {
    async fn of(act: impl Future<Output = Outcome<()>>) -> Outcome<Self> {
        let (begun, before) = (Instant::now(), cpu()?);
        act.await?;
        Ok(Self { time: begun.elapsed(), cpu: cpu()?.saturating_sub(before) })
    }

    fn shown(&self) -> Value {
        json!({"seconds": self.time.as_secs_f64(), "cpu": self.cpu.as_secs_f64()})
    }
}

/// CPU time of this thread, which is the only one, to the nanosecond (Linux).
fn cpu() -> Outcome<Duration> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    Ok(Duration::from_nanos(text.split_whitespace().next().ok_or("an empty schedstat")?.parse()?))
}
