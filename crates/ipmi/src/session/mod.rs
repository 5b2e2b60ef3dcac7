//! The state machine of one session (§13.15), without I/O and without a clock: datagrams and the time go in, datagrams
//! and [`Progress`] come out.
//!
//! One exchange is under way at a time. After each call the caller sends what [`Session::outgoing`] gives, and calls
//! [`Session::receive`] for each datagram that comes, or [`Session::expire`] at [`Session::wake_at`], whichever is first.
//! Datagrams that are not the awaited answer (stale, duplicate, forged, of another session, no IPMI at all) change nothing.
//!
//! ```text
//! open()      ─ Open Session ─ RAKP 1/2 ─ RAKP 3/4 ─ (suite 3: is there really no 17?) ─ Set Session Privilege ─▶ Opened
//! request()   ─ command ─▶ Answered
//! close()     ─ Close Session ─▶ Closed
//! ```
//!
//! A datagram of the set-up is sent again as it was (RAKP 1 with a new tag, since a BMC may make a new random number for
//! each). A command is sent again with the same rqSeq, by which the answer to any of the tries is known, but with a new
//! session sequence number: a BMC drops a number that it has seen (§6.12.13), and would never repeat an answer that was
//! lost. That means that a BMC may execute a command as often as it was sent, so [`Delivery::Once`] is for those with an
//! effect.

mod patience;
mod setup;
mod window;

use std::time::{Duration, Instant};

use patience::{Due, Tries};
use window::Window;

pub use patience::Patience;

use crate::credentials::Credentials;
use crate::crypto::{KeyExchange, SessionKeys};
use crate::error::{Error, Step};
use crate::wire::{
    BMC_ADDRESS, CONSOLE_ADDRESS, CipherSuite, CompletionCode, Datagram, NetFn, PayloadType, Privilege, Protected,
    RequestMessage, ResponseMessage, V15,
};

/// Fills a buffer with random bytes: [`getrandom::fill`], or something foreseeable in tests.
pub type Random = fn(&mut [u8]) -> Result<(), getrandom::Error>;

/// What a session is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who we are.
    pub credentials: Credentials,
    /// The privilege level of the session: the BMC grants it, or there is no session.
    pub privilege: Privilege,
    /// The BMC looks the user up by name alone, rather than by name and privilege level (§13.20).
    pub name_only_lookup: bool,
    /// The lowest cipher suite: with [`CipherSuite::Suite3`], suite 3 is taken where the BMC itself has no 17.
    pub minimum_suite: CipherSuite,
    /// How often and how long an answer is waited for.
    pub patience: Patience,
    /// How long the BMC's answers took lately, if that is known; from then on they tell themselves. A slow BMC is waited for
    /// longer, and not asked again before it can have answered.
    pub pace: Duration,
}

impl Config {
    /// Administrator, looked up by name; suite 17, or 3 where the BMC has no 17.
    pub fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            privilege: Privilege::Administrator,
            name_only_lookup: true,
            minimum_suite: CipherSuite::Suite3,
            patience: Patience::default(),
            pace: Duration::ZERO,
        }
    }
}

/// May a command be sent more than once?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It only reads, or doing it twice is as doing it once: sent again until it is answered.
    Repeated,
    /// It has an effect each time: sent once, never again.
    Once,
}

/// A command to the BMC.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its name in the specification, for errors.
    pub name: &'static str,
    /// Network function.
    pub netfn: NetFn,
    /// The responder's logical unit, 0 to 3; 0 for nearly all.
    pub lun: u8,
    /// Command number.
    pub command: u8,
    /// Its data.
    pub data: &'a [u8],
    /// May it be sent more than once?
    pub delivery: Delivery,
}

/// What the BMC answered to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How it went.
    pub completion: CompletionCode,
    /// What the command returns.
    pub data: Vec<u8>,
}

/// What became of the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It goes on.
    Waiting,
    /// The session is open.
    Opened,
    /// The BMC answered the command.
    Answered(Answer),
    /// The session is closed.
    Closed,
}

/// One session with one BMC. See the [module](self).
pub struct Session {
    config: Config,
    random: Random,
    stage: Stage,
    pending: Option<Pending>,
    /// The datagram sent last, to be sent now if `unsent`.
    datagram: Vec<u8>,
    unsent: bool,
    /// The IPMI message of the command under way.
    message: Vec<u8>,
    /// Payload of the packet received last, in clear.
    clear: Vec<u8>,
    /// The list of cipher suites, as far as it was read.
    suites: Vec<u8>,
    tag: u8,
    rq_seq: u8,
    /// How long the BMC's answers took lately.
    pace: Duration,
}

/// How far the session has come.
enum Stage {
    Closed,
    /// Open Session Request is sent.
    Proposing(setup::Proposal),
    /// RAKP 1 is sent.
    Exchanging(Box<setup::Exchanging>),
    /// RAKP 3 is sent: the BMC may think the session open.
    Proving(Box<KeyExchange>, Box<Live>, setup::Restarts),
    /// RAKP 4 was verified.
    Live(Box<Live>),
}

/// A session whose keys are known.
struct Live {
    suite: CipherSuite,
    keys: SessionKeys,
    console_session: u32,
    bmc_session: u32,
    guid: [u8; 16],
    outbound: u32,
    inbound: Window,
}

/// The exchange under way.
struct Pending {
    awaited: Awaited,
    tries: Tries,
    /// In place of an answer the BMC said that it has no time.
    busy: Option<CompletionCode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    OpenSession { tag: u8 },
    Rakp2 { tag: u8 },
    Rakp4 { tag: u8 },
    Message { purpose: Purpose, netfn: NetFn, command: u8, rq_seq: u8 },
}

/// Why a command is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    VerifySuite { index: u8 },
    SetPrivilege,
    Command { name: &'static str },
    Outside { name: &'static str },
    Close,
}

impl Awaited {
    fn step(self) -> Step {
        match self {
            Self::OpenSession { .. } => Step::OpenSession,
            Self::Rakp2 { .. } => Step::Rakp2,
            Self::Rakp4 { .. } => Step::Rakp4,
            Self::Message { purpose, .. } => match purpose {
                Purpose::VerifySuite { .. } => Step::CipherSuites,
                Purpose::SetPrivilege => Step::SetPrivilege,
                Purpose::Command { name } => Step::Command(name),
                Purpose::Outside { name } => Step::Outside(name),
                Purpose::Close => Step::Command(CLOSE_SESSION.name),
            },
        }
    }
}

/// Close Session (§22.19); its data is the BMC's session id.
const CLOSE_SESSION: Request<'static> = Request {
    name: "Close Session",
    netfn: NetFn::APP,
    lun: 0,
    command: 0x3c,
    data: &[],
    delivery: Delivery::Repeated,
};

impl Session {
    /// A session that is not open yet.
    pub fn new(config: Config, random: Random) -> Self {
        Self {
            pace: config.pace,
            config,
            random,
            stage: Stage::Closed,
            pending: None,
            datagram: Vec::new(),
            unsent: false,
            message: Vec::new(),
            clear: Vec::new(),
            suites: Vec::new(),
            tag: 0,
            rq_seq: 0,
        }
    }

    /// True once it is open, until it is closed.
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Live(_)) && !self.is_setting_up()
    }

    /// The cipher suite in use, if the session is open.
    pub fn suite(&self) -> Option<CipherSuite> {
        self.live().map(|live| live.suite)
    }

    /// The BMC's GUID as it was in RAKP 2, if the session is open.
    pub fn guid(&self) -> Option<[u8; 16]> {
        self.live().map(|live| live.guid)
    }

    /// How long the BMC's answers took lately.
    pub fn pace(&self) -> Duration {
        self.pace
    }

    /// The datagram that is to be sent now, once.
    pub fn outgoing(&mut self) -> Option<&[u8]> {
        std::mem::take(&mut self.unsent).then_some(&self.datagram)
    }

    /// When [`Session::expire`] must be called; `None`: nothing is awaited.
    pub fn wake_at(&self) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.tries.wake_at())
    }

    /// Begins the set-up. What was before is forgotten.
    pub fn open(&mut self, now: Instant) -> Result<Progress, Error> {
        self.abandon();
        let result = self.propose(now, CipherSuite::Suite17, setup::Restarts::default());
        self.settle(result)
    }

    /// Sends a command in the open session, with its own patience.
    pub fn request(&mut self, now: Instant, request: &Request<'_>, patience: Patience) -> Result<Progress, Error> {
        if !self.is_open() {
            return Err(Error::NotOpen);
        }
        let patience = patience.at_pace(self.pace);
        let patience = match request.delivery {
            Delivery::Repeated => patience,
            Delivery::Once => Patience { tries: 1, ..patience },
        };
        self.command(now, request, Purpose::Command { name: request.name }, patience)
    }

    /// Sends a command outside any session, such as Get Channel Authentication Capabilities (§22.13). The answer proves
    /// nothing: anybody can send it.
    pub fn request_outside(&mut self, now: Instant, request: &Request<'_>) -> Result<Progress, Error> {
        self.command(now, request, Purpose::Outside { name: request.name }, self.patience())
    }

    /// Begins Close Session. Without an open session it is closed already.
    pub fn close(&mut self, now: Instant) -> Result<Progress, Error> {
        let Some(bmc_session) = self.live().map(|live| live.bmc_session) else {
            self.forget();
            return Ok(Progress::Closed);
        };
        let data = bmc_session.to_le_bytes();
        let patience = self.config.patience.for_close();
        self.command(now, &Request { data: &data, ..CLOSE_SESSION }, Purpose::Close, patience)
    }

    /// Ends the exchange under way; an open session stays open. In the middle of the set-up the session ends too:
    /// if the BMC may think it open, [`Session::outgoing`] is then a Close Session that needs no answer.
    pub fn abandon(&mut self) {
        let was_setting_up = !matches!(self.stage, Stage::Closed) && !self.is_open();
        self.pending = None;
        self.unsent = false;
        if was_setting_up {
            self.farewell();
        }
    }

    /// Ends the session at once. If the BMC may think it open, [`Session::outgoing`] is then a Close Session that needs no
    /// answer.
    pub fn farewell(&mut self) {
        if let Some(live) = self.live() {
            let data = live.bmc_session.to_le_bytes();
            self.write_message(&Request { data: &data, ..CLOSE_SESSION });
            // Without random numbers the BMC must drop the session by itself.
            let _ = self.seal_message();
        }
        self.stage = Stage::Closed;
        self.pending = None;
    }

    /// Takes in a datagram that came from the BMC's address.
    pub fn receive(&mut self, now: Instant, datagram: &[u8]) -> Result<Progress, Error> {
        let Some(&Pending { awaited, tries, .. }) = self.pending.as_ref() else { return Ok(Progress::Waiting) };
        let result = match (Datagram::decode(datagram), awaited) {
            (Ok(Datagram::Protected(packet)), Awaited::Message { .. }) => self.on_packet(now, &packet, awaited),
            (Ok(Datagram::V15(packet)), Awaited::Message { purpose: Purpose::Outside { .. }, .. }) => {
                Ok(self.on_outside(&packet, awaited))
            }
            (Ok(Datagram::Plain(payload)), _) if payload.session == 0 => self.on_setup(now, &payload, awaited),
            _ => Ok(Progress::Waiting),
        };
        if self.pending.as_ref().is_none_or(|pending| pending.tries.begun() != tries.begun()) {
            self.pace = tries.pace(now, self.pace);
        }
        self.settle(result)
    }

    /// Sends again or gives up, if it is time.
    pub fn expire(&mut self, now: Instant) -> Result<Progress, Error> {
        let Some(pending) = &self.pending else { return Ok(Progress::Waiting) };
        let result = match pending.tries.due(now) {
            Due::Wait => Ok(Progress::Waiting),
            Due::Again => self.again(now),
            Due::Over => self.over(now),
        };
        self.settle(result)
    }

    /// After an error in the set-up there is no session; after one in a command it is as before.
    fn settle(&mut self, result: Result<Progress, Error>) -> Result<Progress, Error> {
        if result.is_err() {
            let last_words = self.unsent;
            let was_setting_up = !self.is_open();
            self.pending = None;
            if was_setting_up && !last_words {
                self.farewell();
            } else if was_setting_up {
                self.stage = Stage::Closed;
            }
        }
        result
    }

    fn over(&mut self, now: Instant) -> Result<Progress, Error> {
        let Some(pending) = &self.pending else { return Ok(Progress::Waiting) };
        if matches!(pending.awaited, Awaited::Message { purpose: Purpose::Close, .. }) {
            self.forget();
            return Ok(Progress::Closed);
        }
        if let Some(code) = pending.busy {
            return Err(Error::Completion { step: pending.awaited.step(), code, explanation: None });
        }
        Err(Error::NoAnswer {
            step: pending.awaited.step(),
            tries: pending.tries.count(),
            waited: pending.tries.waited(now),
            note: None,
        })
    }

    fn again(&mut self, now: Instant) -> Result<Progress, Error> {
        match self.pending.as_ref().map(|pending| pending.awaited) {
            Some(Awaited::Rakp2 { .. }) => self.send_rakp1()?,
            Some(Awaited::Message { purpose, .. }) if !matches!(purpose, Purpose::Outside { .. }) => {
                self.seal_message()?;
            }
            _ => self.unsent = true,
        }
        let jitter = self.random_array::<1>()?[0];
        if let Some(pending) = &mut self.pending {
            pending.tries.made(now, jitter);
        }
        Ok(Progress::Waiting)
    }

    /// For the set-up, and for what needs none.
    fn patience(&self) -> Patience {
        self.config.patience.at_pace(self.pace)
    }

    /// Starts to wait for an answer to what has just been written to `datagram`.
    fn await_answer(&mut self, now: Instant, awaited: Awaited, patience: Patience) -> Result<Progress, Error> {
        let jitter = self.random_array::<1>()?[0];
        self.pending = Some(Pending { awaited, tries: Tries::begin(patience, now, jitter), busy: None });
        Ok(Progress::Waiting)
    }

    fn command(
        &mut self,
        now: Instant,
        request: &Request<'_>,
        purpose: Purpose,
        patience: Patience,
    ) -> Result<Progress, Error> {
        self.write_message(request);
        if let Purpose::Outside { .. } = purpose {
            self.datagram.clear();
            V15::outside_session(&self.message).encode(&mut self.datagram);
            self.unsent = true;
        } else {
            self.seal_message()?;
        }
        let (netfn, command) = (request.netfn, request.command);
        self.await_answer(now, Awaited::Message { purpose, netfn, command, rq_seq: self.rq_seq }, patience)
    }

    /// Writes the IPMI message of a new command, with the next rqSeq.
    fn write_message(&mut self, request: &Request<'_>) {
        self.rq_seq = (self.rq_seq + 1) % 64;
        let message = RequestMessage {
            responder: BMC_ADDRESS,
            responder_lun: request.lun,
            requester: CONSOLE_ADDRESS,
            requester_lun: 0,
            sequence: self.rq_seq,
            netfn: request.netfn,
            command: request.command,
            data: request.data,
        };
        self.message.clear();
        message.encode(&mut self.message);
    }

    /// Makes a packet of the message, with the next session sequence number.
    fn seal_message(&mut self) -> Result<(), Error> {
        let iv = self.random_array()?;
        let Some(live) = self.stage.live_mut() else { return Err(Error::NotOpen) };
        let sequence = live.outbound;
        // 0 is for packets outside a session (§6.12.8).
        live.outbound = sequence.checked_add(1).unwrap_or(1);
        self.datagram.clear();
        live.keys.seal(PayloadType::Ipmi, live.bmc_session, sequence, iv, &self.message, &mut self.datagram);
        self.unsent = true;
        Ok(())
    }

    /// A packet that claims to be of this session.
    fn on_packet(&mut self, now: Instant, packet: &Protected<'_>, awaited: Awaited) -> Result<Progress, Error> {
        let Stage::Live(live) = &mut self.stage else { return Ok(Progress::Waiting) };
        if packet.session != live.console_session || packet.kind != PayloadType::Ipmi {
            return Ok(Progress::Waiting);
        }
        if live.keys.open(packet, &mut self.clear).is_err() || !live.inbound.accept(packet.sequence) {
            return Ok(Progress::Waiting);
        }
        match answer(&self.clear, awaited) {
            Some(answer) => self.on_answer(now, answer, awaited),
            None => Ok(Progress::Waiting),
        }
    }

    fn on_outside(&mut self, packet: &V15<'_>, awaited: Awaited) -> Progress {
        match answer(packet.message, awaited) {
            Some(answer) if packet.session == 0 => {
                self.pending = None;
                Progress::Answered(answer)
            }
            _ => Progress::Waiting,
        }
    }

    fn on_answer(&mut self, now: Instant, answer: Answer, awaited: Awaited) -> Result<Progress, Error> {
        let Awaited::Message { purpose, .. } = awaited else { return Ok(Progress::Waiting) };
        if answer.completion.is_transient()
            && self.is_setting_up()
            && let Some(pending) = &mut self.pending
        {
            // That is no answer: it is asked again when it would be without one.
            pending.busy = Some(answer.completion);
            return Ok(Progress::Waiting);
        }
        match purpose {
            Purpose::VerifySuite { index } => self.on_suites(now, index, &answer),
            Purpose::SetPrivilege => self.on_privilege(&answer),
            Purpose::Command { .. } | Purpose::Outside { .. } => {
                self.pending = None;
                Ok(Progress::Answered(answer))
            }
            Purpose::Close => {
                self.forget();
                Ok(Progress::Closed)
            }
        }
    }

    fn live(&self) -> Option<&Live> {
        self.stage.live()
    }

    fn is_setting_up(&self) -> bool {
        let purpose = match self.pending.as_ref().map(|pending| pending.awaited) {
            Some(Awaited::Message { purpose, .. }) => purpose,
            Some(_) => return true,
            None => return false,
        };
        matches!(purpose, Purpose::VerifySuite { .. } | Purpose::SetPrivilege)
    }

    /// There is no session, and nothing is to be sent.
    fn forget(&mut self) {
        self.stage = Stage::Closed;
        self.pending = None;
        self.unsent = false;
    }

    fn random_array<const N: usize>(&self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        (self.random)(&mut bytes)?;
        Ok(bytes)
    }
}

impl Stage {
    /// The keys, once they are known; the BMC may not have accepted them yet.
    fn live(&self) -> Option<&Live> {
        match self {
            Self::Live(live) | Self::Proving(_, live, _) => Some(live),
            _ => None,
        }
    }

    fn live_mut(&mut self) -> Option<&mut Live> {
        match self {
            Self::Live(live) | Self::Proving(_, live, _) => Some(live),
            _ => None,
        }
    }
}

/// The answer in a message, if it is the one that is awaited: by network function, command and rqSeq.
fn answer(message: &[u8], awaited: Awaited) -> Option<Answer> {
    let Awaited::Message { netfn, command, rq_seq, .. } = awaited else { return None };
    let response = ResponseMessage::decode(message).ok()?;
    let fits = response.netfn == netfn && response.command == command && response.sequence == rq_seq;
    fits.then(|| Answer { completion: response.completion, data: response.data.to_vec() })
}
