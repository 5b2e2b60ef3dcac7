//! Many fake IPMI BMCs in one process: a socket and a task each, and one thread for all.
//!
//! `bmcs COUNT` listens on loopback, with every machine on, and prints the ports as a JSON list. Then each line on standard input is answered by one
//! of JSON: for each BMC its sessions so far, as `[opened, ended, commands]` (seconds since 1970, `null` while it is open; commands
//! besides the session's set-up and end). It ends with its standard input. User `admin`, password `secret`.

use std::error::Error;
use std::io::{BufRead, Write};

use serde_json::{Value, json};
use slipway_fakes::bmc::ipmi::{FakeIpmi, Seen, Settings};
use slipway_fakes::bmc::{Cause, Identity, Machine, Power, PowerAction, Timing};
use tokio::sync::mpsc;

/// Get Channel Cipher Suites, Set Session Privilege Level, Close Session: what a session itself needs.
const OF_THE_SESSION: [(u8, u8); 3] = [(0x06, 0x54), (0x06, 0x3b), (0x06, 0x3c)];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let count: u16 = std::env::args().nth(1).ok_or("usage: bmcs COUNT")?.parse()?;
    let (mut bmcs, mut machines) = (Vec::new(), Vec::new());
    for number in 1..=count {
        let machine = Machine::new(Identity::numbered(number), Timing::default());
        machine.ask(PowerAction::On, Cause::Button).map_err(|error| format!("{error:?}"))?;
        machines.push(machine.clone());
        bmcs.push(FakeIpmi::start(machine, Settings::default()).await?);
    }
    for machine in machines {
        machine.until_power(Power::On).await;
    }
    say(&bmcs.iter().map(|bmc| bmc.address().port()).collect())?;
    let mut questions = questions();
    while questions.recv().await.is_some() {
        say(&bmcs.iter().map(sessions).collect())?;
    }
    Ok(())
}

/// The lines of standard input, which only a thread can wait for.
fn questions() -> mpsc::Receiver<()> {
    let (send, receive) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.is_err() || send.blocking_send(()).is_err() {
                break;
            }
        }
    });
    receive
}

fn sessions(bmc: &FakeIpmi) -> Value {
    let seen = bmc.seen();
    let of = |id| seen.iter().filter(move |it| it.session == id && it.is_done()).filter_map(Seen::command);
    let sessions = bmc.sessions().into_iter().map(|session| {
        let commands = of(session.id).filter(|command| !OF_THE_SESSION.contains(command)).count();
        let ended = session.ended.map(|(at, _)| at.as_duration().as_secs_f64());
        json!([session.opened.as_duration().as_secs_f64(), ended, commands])
    });
    sessions.collect()
}

fn say(what: &Value) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}")?;
    out.flush()
}
