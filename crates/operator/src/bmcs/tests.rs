use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use slipway_drivers::DriverError;
use slipway_drivers::bmc::{Bmc, CommandError, Password, Trust, reasons};
use slipway_plan::node::bmc::{
    BmcObserved, Boot, Command, Evidence, Health, Identity, Look, PowerState, Security, SelEntry,
};

use super::*;

/// A BMC in memory.
pub(crate) struct Toy {
    pub(crate) on: AtomicBool,
    pub(crate) dead: AtomicBool,
    /// Each call takes ten seconds.
    pub(crate) slow: AtomicBool,
    pub(crate) refuses: AtomicBool,
    /// It has forgotten the session at each look, which logs in anew.
    pub(crate) forgets: AtomicBool,
    /// The only password that it takes; `None` takes any.
    pub(crate) password: Mutex<Option<Vec<u8>>>,
    /// The SHA-256 of the certificate that it shows, if it has one.
    pub(crate) certificate: Mutex<Option<String>>,
    /// The answer to a change of the password is lost.
    pub(crate) loses_change: AtomicBool,
    /// Logins with another password since one that was taken, and the most there ever were.
    refused: AtomicUsize,
    pub(crate) most_refused: AtomicUsize,
    pub(crate) logins: AtomicUsize,
    pub(crate) looks: AtomicUsize,
    pub(crate) closes: AtomicUsize,
    /// Calls under way, and the most that ever were.
    busy: AtomicUsize,
    most: AtomicUsize,
    pub(crate) commands: Mutex<Vec<Command>>,
}

impl Default for Toy {
    fn default() -> Self {
        Self {
            on: AtomicBool::new(true),
            dead: AtomicBool::default(),
            slow: AtomicBool::default(),
            refuses: AtomicBool::default(),
            forgets: AtomicBool::default(),
            password: Mutex::default(),
            certificate: Mutex::default(),
            loses_change: AtomicBool::default(),
            refused: AtomicUsize::default(),
            most_refused: AtomicUsize::default(),
            logins: AtomicUsize::default(),
            looks: AtomicUsize::default(),
            closes: AtomicUsize::default(),
            busy: AtomicUsize::default(),
            most: AtomicUsize::default(),
            commands: Mutex::default(),
        }
    }
}

impl Toy {
    async fn call(&self) -> Result<(), DriverError> {
        let busy = self.busy.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(busy, Ordering::SeqCst);
        let takes = if self.slow.load(Ordering::SeqCst) { 10_000 } else { 20 };
        tokio::time::sleep(Duration::from_millis(takes)).await;
        self.busy.fetch_sub(1, Ordering::SeqCst);
        if self.dead.load(Ordering::SeqCst) { Err(reasons::TIMED_OUT.error("no answer")) } else { Ok(()) }
    }

    /// Nothing is sent to one that shows another certificate than the pinned one.
    fn is_trusted(&self, address: &BmcAddress) -> Result<(), DriverError> {
        let shown = self.certificate.lock().unwrap().clone();
        match (address, shown) {
            (BmcAddress::Redfish { trust: Trust::Pin(pin), .. }, Some(shown)) if *pin != shown => {
                Err(reasons::CERTIFICATE_CHANGED.error(format!("it shows {shown}, not {pin}")))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn sent(&self) -> Vec<Command> {
        self.commands.lock().unwrap().clone()
    }
}

/// The way to a [`Toy`].
pub(crate) struct Way(pub(crate) Arc<Toy>);

struct Line(Arc<Toy>);

#[async_trait]
impl ConnectBmc for Way {
    async fn reach(&self, address: &BmcAddress) -> Result<Duration, DriverError> {
        self.0.is_trusted(address)?;
        let began = tokio::time::Instant::now();
        self.0.call().await.map(|()| began.elapsed())
    }

    async fn bmc(&self, address: &BmcAddress, login: &Login, _: Duration) -> Result<Arc<dyn Bmc>, DriverError> {
        self.0.is_trusted(address)?;
        self.0.call().await?;
        self.0.logins.fetch_add(1, Ordering::SeqCst);
        let is_other = self.0.password.lock().unwrap().as_ref().is_some_and(|own| own != login.password.expose());
        if is_other || self.0.refuses.load(Ordering::SeqCst) {
            let refused = self.0.refused.fetch_add(1, Ordering::SeqCst) + 1;
            self.0.most_refused.fetch_max(refused, Ordering::SeqCst);
            return Err(reasons::CREDENTIALS_REFUSED.error("wrong password"));
        }
        self.0.refused.store(0, Ordering::SeqCst);
        Ok(Arc::new(Line(self.0.clone())))
    }
}

#[async_trait]
impl Bmc for Line {
    async fn observe(&self, _: Look) -> Result<BmcObserved, DriverError> {
        self.0.call().await?;
        if self.0.forgets.load(Ordering::SeqCst) {
            self.0.logins.fetch_add(1, Ordering::SeqCst);
            if self.0.refuses.load(Ordering::SeqCst) {
                return Err(reasons::CREDENTIALS_REFUSED.error("wrong password"));
            }
        }
        self.0.looks.fetch_add(1, Ordering::SeqCst);
        Ok(BmcObserved {
            power: if self.0.on.load(Ordering::SeqCst) { PowerState::On } else { PowerState::Off },
            boot: Boot::Normal,
            evidence: Evidence::default(),
            health: HealthLevel::Ok,
            media: None,
            security: match self.0.certificate.lock().unwrap().clone() {
                Some(certificate_sha256) => Security::Tls { certificate_sha256, not_after: None },
                None => Security::CipherSuite(17),
            },
        })
    }

    async fn execute(&self, command: &Command) -> Result<(), CommandError> {
        self.0.call().await.map_err(CommandError::lost)?;
        self.0.commands.lock().unwrap().push(command.clone());
        match command {
            Command::PowerOn | Command::Reset => self.0.on.store(true, Ordering::SeqCst),
            Command::ShutDown | Command::ForceOff => self.0.on.store(false, Ordering::SeqCst),
            _ => {}
        }
        Ok(())
    }

    async fn identity(&self) -> Result<Identity, DriverError> {
        self.0.call().await?;
        let text = |text: &str| Some(text.to_owned());
        Ok(Identity { vendor: text("Toy"), serial: text("1"), uuid: text("u-1"), firmware: text("2.0"), model: None })
    }

    async fn inventory(&self) -> Result<NodeInventorySpec, DriverError> {
        self.0.call().await?;
        Ok(NodeInventorySpec { cpu_count: Some(2), memory_mib: Some(4096), ..NodeInventorySpec::default() })
    }

    async fn health(&self) -> Result<Health, DriverError> {
        self.0.call().await?;
        Ok(Health { level: HealthLevel::Ok, worst: None })
    }

    async fn sel(&self, _: usize) -> Result<Vec<SelEntry>, DriverError> {
        Ok(Vec::new())
    }

    async fn set_password(&self, new: &Password) -> Result<(), CommandError> {
        self.0.call().await.map_err(CommandError::lost)?;
        *self.0.password.lock().unwrap() = Some(new.expose().to_vec());
        let lost = self.0.loses_change.load(Ordering::SeqCst);
        if lost { Err(CommandError::lost(reasons::TIMED_OUT.error("no answer"))) } else { Ok(()) }
    }

    async fn close(&self) {
        self.0.closes.fetch_add(1, Ordering::SeqCst);
    }
}

struct World {
    toy: Arc<Toy>,
    bmcs: Bmcs,
    stop: CancellationToken,
}

fn key(name: &str) -> Key {
    Key::new("ns", name)
}

fn target(host: &str) -> Target {
    Target {
        address: BmcAddress::Ipmi { host: host.into(), port: 623, minimum_suite: 3 },
        first_use: false,
        login: Login { username: "admin".into(), password: slipway_drivers::bmc::Password::new(*b"secret"), kg: None },
        version: "u/1".into(),
    }
}

fn proven() -> Known {
    Known { proven: true, ..Known::default() }
}

fn record(tries: u8) -> LoginStatus {
    LoginStatus { version: "u/1".into(), tries, ..LoginStatus::default() }
}

impl World {
    fn new() -> Self {
        let (toy, stop) = (Arc::new(Toy::default()), CancellationToken::new());
        let way = Arc::new(Way(toy.clone()));
        let bmcs = Bmcs::new(way, Arc::default(), Locks::default(), stop.clone());
        Self { toy, bmcs, stop }
    }

    /// Waits until something is so; the clock is paused, so that this takes no time.
    async fn until(&self, what: impl Fn(&BmcState) -> bool) -> BmcState {
        for _ in 0..10_000 {
            if let Some(state) = self.bmcs.state(&key("n")).filter(|state| what(state)) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{:?}", self.bmcs.state(&key("n")))
    }

    fn wish(&self, change: impl FnOnce(&mut Wish)) {
        self.bmcs.wish(&key("n"), change);
    }

    fn count(counter: &AtomicUsize) -> usize {
        counter.load(Ordering::SeqCst)
    }
}

fn is_shown(state: &BmcState) -> bool {
    matches!(state.seen, Seen::Shown { .. }) && state.facts.complete
}

#[tokio::test(start_paused = true)]
async fn a_quiet_bmc_is_visited_twelve_times_an_hour_and_its_session_is_closed_between() {
    let world = World::new();
    world.bmcs.connect(&key("n"), &target("h"), &proven());
    world.until(is_shown).await;
    let before = World::count(&world.toy.looks);
    tokio::time::sleep(Duration::from_hours(1)).await;
    let visits = World::count(&world.toy.looks) - before;
    assert!((8..=12).contains(&visits), "{visits}");
    let closes = World::count(&world.toy.closes);
    assert!(closes.abs_diff(visits) <= 1, "{closes} of {visits}");
    assert_eq!(World::count(&world.toy.most), 1, "one thing at a time");
}

#[tokio::test(start_paused = true)]
async fn hosts_that_had_settled_are_not_stormed_by_a_new_process() {
    let world = World::new();
    let known = Known { proven: true, settled: true, described: true, ..Known::default() };
    for at in 0..60 {
        world.bmcs.connect(&key(&at.to_string()), &target(&at.to_string()), &known);
    }
    tokio::time::sleep(Duration::from_secs(36)).await;
    let early = World::count(&world.toy.logins);
    assert!(early <= 20, "{early} of 60 in the first tenth of the time");
    tokio::time::sleep(Duration::from_secs(400)).await;
    assert_eq!(World::count(&world.toy.logins), 60);
}

#[tokio::test(start_paused = true)]
async fn credentials_are_tried_once_for_each_try_on_record() {
    let world = World::new();
    world.toy.refuses.store(true, Ordering::SeqCst);
    world.bmcs.connect(&key("n"), &target("h"), &Known::default());
    world.until(|state| state.login == LoginState::Wanted).await;
    assert_eq!(World::count(&world.toy.logins), 0, "it is reached without them");
    for tries in 1..=2 {
        world.wish(|wish| wish.permit = Some(record(tries)));
        world.until(|state| matches!(state.login, LoginState::Refused { .. })).await;
        tokio::time::sleep(Duration::from_hours(2)).await;
        assert_eq!(World::count(&world.toy.logins), usize::from(tries));
    }
}

#[tokio::test(start_paused = true)]
async fn a_bmc_that_does_not_answer_costs_no_try() {
    let world = World::new();
    world.toy.dead.store(true, Ordering::SeqCst);
    world.bmcs.connect(&key("n"), &target("h"), &Known::default());
    world.until(|state| matches!(state.seen, Seen::Away { .. })).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!((World::count(&world.toy.logins), world.bmcs.state(&key("n")).unwrap().login), (0, LoginState::Open));
    world.toy.dead.store(false, Ordering::SeqCst);
    world.until(|state| state.login == LoginState::Wanted).await;
}

#[tokio::test(start_paused = true)]
async fn a_command_is_sent_once_and_only_to_a_host_that_is_as_planned() {
    let world = World::new();
    world.bmcs.connect(&key("n"), &target("h"), &proven());
    world.until(is_shown).await;
    let reset = |on| BmcStep { command: Command::Reset, on: Some(on) };
    let send = |id: &str, step: BmcStep| {
        let id = id.to_owned();
        world.wish(move |wish| *wish = Wish { awaited: true, deep: true, send: Some((id, step)), ..Wish::default() });
    };
    send("1", reset(PowerState::On));
    let came = |id: &'static str| {
        move |state: &BmcState| state.sent.as_ref().is_some_and(|(sent, what)| sent == id && *what != Sent::Pending)
    };
    assert_eq!(world.until(came("1")).await.sent, Some(("1".into(), Sent::Taken)));
    send("1", reset(PowerState::On));
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(world.toy.sent().len(), 1);
    send("2", reset(PowerState::Off));
    let state = world.until(came("2")).await;
    assert_eq!(state.sent, Some(("2".into(), Sent::Refused { needs_person: false })));
    assert_eq!(state.failure.map(|failure| failure.reason), Some("BmcStateChanged"));
    assert_eq!(world.toy.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_said_to_be_lost() {
    let world = World::new();
    world.bmcs.connect(&key("n"), &target("h"), &proven());
    world.until(is_shown).await;
    world.toy.on.store(false, Ordering::SeqCst);
    let step = BmcStep { command: Command::PowerOn, on: Some(PowerState::Off) };
    // It dies between the look and the command.
    let toy = world.toy.clone();
    let looks = World::count(&toy.looks);
    let killer = tokio::spawn(async move {
        while World::count(&toy.looks) == looks {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        toy.dead.store(true, Ordering::SeqCst);
    });
    world.wish(|wish| wish.send = Some(("1".into(), step)));
    let state = world.until(|state| matches!(&state.sent, Some((_, sent)) if *sent != Sent::Pending)).await;
    killer.await.unwrap();
    assert_eq!(state.sent, Some(("1".into(), Sent::Lost)));
}

#[tokio::test(start_paused = true)]
async fn sessions_are_closed_when_all_is_to_stop() {
    let world = World::new();
    world.bmcs.connect(&key("n"), &target("h"), &proven());
    world.until(is_shown).await;
    world.stop.cancel();
    world.bmcs.drain().await;
    assert_eq!(World::count(&world.toy.closes), 1);
}

#[tokio::test(start_paused = true)]
async fn two_nodes_with_one_bmc_know_of_each_other() {
    let world = World::new();
    for (name, host) in [("n", "h"), ("o", "h"), ("p", "other")] {
        world.bmcs.connect(&key(name), &target(host), &Known::default());
    }
    assert_eq!(world.bmcs.twins(&key("n")), [key("o")]);
    assert_eq!(world.bmcs.twins(&key("p")), []);
    let mut changes = world.bmcs.changes();
    world.bmcs.forget(&key("o"));
    assert_eq!(world.bmcs.twins(&key("n")), []);
    assert_eq!(changes.recv().await.unwrap(), key("n"));
}

#[tokio::test(start_paused = true)]
async fn one_machine_behind_two_addresses_is_found_out_by_what_it_says() {
    let world = World::new();
    for (name, host) in [("n", "h"), ("o", "also-h")] {
        world.bmcs.connect(&key(name), &target(host), &proven());
    }
    world.until(is_shown).await;
    world.until(|_| world.bmcs.twins(&key("n")) == [key("o")]).await;
}
