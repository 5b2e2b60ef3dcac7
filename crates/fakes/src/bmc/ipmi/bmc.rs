//! A BMC: what it holds, and what it does with a datagram.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Settings;
use super::accounts::{Accounts, Privilege};
use super::boot::BootOptions;
use super::commands::{self, Refusal};
use super::faults::{Call, Effect, Faults};
use super::log::{End, Fate, Log, Seen};
use super::packet::{self, Packet, Plus, Request, payload};
use super::sel::Sel;
use super::sensors::Sensor;
use super::sessions::Sessions;
use super::{fru, sensors};
use crate::bmc::{Machine, Power};

/// A BMC's whole state. Everything in it is done at once, under one lock.
pub(super) struct Bmc {
    pub(super) machine: Arc<Machine>,
    pub(super) settings: Settings,
    /// Where it is reached.
    pub(super) address: SocketAddr,
    pub(super) accounts: Accounts,
    pub(super) sessions: Sessions,
    pub(super) boot: BootOptions,
    pub(super) sel: Sel,
    pub(super) sensors: Vec<Sensor>,
    pub(super) sdr_reservation: u16,
    pub(super) fru: Vec<u8>,
    /// Until when the chassis shows itself.
    pub(super) identify: Option<Timestamp>,
    pub(super) restore_policy: u8,
    pub(super) faults: Faults,
    pub(super) log: Log,
    /// It restarts, and hears nothing until then.
    deaf_until: Option<Timestamp>,
    last_reply: Vec<u8>,
    held_back: Vec<Outgoing>,
}

/// A datagram to be sent.
pub(super) struct Outgoing {
    pub(super) bytes: Vec<u8>,
    pub(super) to: SocketAddr,
    pub(super) after: Duration,
}

/// A command, and who gave it.
pub(super) struct Asked<'a> {
    pub(super) data: &'a [u8],
    /// The session's ID; 0 outside of any.
    pub(super) session: u32,
}

/// What is to happen after a command's reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    Close(u32),
    Restart,
}

/// A datagram that was understood.
struct Understood<'a> {
    call: Call,
    session: u32,
    content: Content<'a>,
}

enum Content<'a> {
    Ping(u8),
    /// A message, and its packet's number, if it has one.
    Message(Request, Wrap),
    /// A payload of the handshake: its kind and itself.
    Handshake(u8, &'a [u8]),
}

/// How a message came, and its answer goes.
#[derive(Clone, Copy)]
enum Wrap {
    Old,
    Plain,
    Sealed { sequence: u32 },
}

/// What became of a request.
struct Outcome {
    code: u8,
    reply: Option<Reply>,
    then: Then,
}

enum Reply {
    Whole(Vec<u8>),
    /// To be sealed, in the session it belongs to, when it is sent.
    Answer {
        request: Request,
        wrap: Wrap,
        code: u8,
        data: Vec<u8>,
    },
}

impl Bmc {
    pub(super) fn new(machine: Arc<Machine>, settings: Settings, address: SocketAddr) -> Self {
        let fru = fru::inventory(&machine.identity);
        Self {
            accounts: Accounts::new(&settings.users, settings.lockout),
            sessions: Sessions::default(),
            boot: BootOptions::default(),
            sel: Sel::default(),
            sensors: sensors::all(),
            sdr_reservation: 0,
            fru,
            identify: None,
            restore_policy: 0,
            faults: Faults::default(),
            log: Log::default(),
            deaf_until: None,
            last_reply: Vec::new(),
            held_back: Vec::new(),
            machine,
            settings,
            address,
        }
    }

    /// The system's GUID, its last byte first (section 20.8).
    pub(super) fn guid(&self) -> [u8; 16] {
        let mut guid = self.machine.identity.uuid;
        guid.reverse();
        guid
    }

    /// Restarts: it is deaf for a while, and forgets its sessions.
    pub(super) fn restart(&mut self) {
        let lasts = SignedDuration::try_from(self.settings.restart).unwrap_or(SignedDuration::MAX);
        self.deaf_until = Some(self.machine.now() + lasts);
        self.forget_sessions();
        self.held_back.clear();
    }

    /// A datagram has come. What is to be sent.
    pub(super) fn receive(&mut self, datagram: &[u8], from: SocketAddr) -> Vec<Outgoing> {
        let now = self.machine.now();
        self.log.datagram(true, datagram);
        self.expire_sessions();
        self.boot.expire(&self.machine);
        let understood = self.understand(datagram);
        let Some(Understood { call, session, content }) = understood else {
            self.faults.strike(Call::Unknown);
            self.saw(now, Call::Unknown, 0, &Content::Ping(0), Fate::Ignored);
            return Vec::new();
        };
        let effects = self.faults.strike(call);
        let has = |effect: &Effect| effects.contains(effect);
        let is_deaf = self.deaf_until.is_some_and(|until| now < until) || self.faults.silent;
        self.faults.silent |= has(&Effect::SilentBefore) || has(&Effect::SilentAfter);
        if is_deaf || has(&Effect::LoseRequest) || has(&Effect::SilentBefore) {
            self.saw(now, call, session, &content, Fate::Lost);
            return Vec::new();
        }
        if has(&Effect::ForgetSessions) {
            self.forget_sessions();
        }
        if has(&Effect::RestartBefore) {
            self.restart();
            self.saw(now, call, session, &content, Fate::Lost);
            return Vec::new();
        }
        if has(&Effect::SequenceReset)
            && let Some(session) = self.sessions.get_mut(session)
        {
            session.reset_sequences();
        }
        let gap = effects.iter().find_map(|it| if let Effect::SequenceGap(gap) = it { Some(*gap) } else { None });
        if let (Some(gap), Some(session)) = (gap, self.sessions.get_mut(session)) {
            session.leave_out(gap);
        }
        if !self.accepts(&content, session, now) {
            self.saw(now, call, session, &content, Fate::Ignored);
            return Vec::new();
        }
        let refused = effects.iter().find_map(|it| if let Effect::Refuse(code) = it { Some(*code) } else { None });
        let mut outcome = match refused {
            Some(code) => refuse(&content, code),
            None => self.act(&content, session, from, &effects),
        };
        for effect in &effects {
            distort(effect, &mut outcome);
        }
        let mut sent = self.reply(outcome.reply.take(), session, from, &effects);
        if has(&Effect::RestartAfter) || has(&Effect::SilentAfter) {
            sent.clear();
        }
        let answered = sent.first().map(|first| now + SignedDuration::try_from(first.after).unwrap_or_default());
        let fate = match refused {
            Some(code) => Fate::Faked(code),
            None => Fate::Done { code: outcome.code, answered },
        };
        self.saw(now, call, session, &content, fate);
        match outcome.then {
            Then::Nothing => {}
            Then::Close(id) => drop(self.end_session(id, End::Closed)),
            Then::Restart => self.restart(),
        }
        if has(&Effect::RestartAfter) {
            self.restart();
        }
        sent
    }

    /// Reads a datagram; `None` if it makes no sense, or is not what it claims to be.
    fn understand<'a>(&self, datagram: &'a [u8]) -> Option<Understood<'a>> {
        let length_of = |id| self.sessions.get(id).map(|session| session.keys.suite.code_length());
        let message = |message: &[u8], wrap, session| {
            let request = Request::parse(message)?;
            let call = Call::Command(request.function, request.command);
            Some(Understood { call, session, content: Content::Message(request, wrap) })
        };
        match Packet::parse(datagram, length_of)? {
            Packet::Ping(tag) => Some(Understood { call: Call::Ping, session: 0, content: Content::Ping(tag) }),
            Packet::Old(bytes) => message(bytes, Wrap::Old, 0),
            Packet::Plus(Plus {
                kind: payload::MESSAGE, session: 0, payload, seal: None, encrypted: false, ..
            }) => message(payload, Wrap::Plain, 0),
            Packet::Plus(Plus { kind: payload::MESSAGE, session, sequence, payload, seal, encrypted: true }) => {
                let keys = &self.sessions.get(session)?.keys;
                let (covered, code) = seal?;
                (keys.code(covered) == code).then_some(())?;
                message(&keys.decrypt(payload)?, Wrap::Sealed { sequence }, session)
            }
            Packet::Plus(Plus { kind, session: 0, payload, seal: None, encrypted: false, .. }) => {
                let call = match kind {
                    payload::OPEN_SESSION_REQUEST => Call::OpenSession,
                    payload::RAKP1 => Call::Rakp1,
                    payload::RAKP3 => Call::Rakp3,
                    _ => return None,
                };
                Some(Understood { call, session: 0, content: Content::Handshake(kind, payload) })
            }
            Packet::Plus(_) => None,
        }
    }

    /// Whether the number of the packet is to be taken; if so it is used up.
    fn accepts(&mut self, content: &Content, session: u32, now: Timestamp) -> bool {
        match content {
            Content::Message(_, Wrap::Sealed { sequence }) => {
                self.sessions.get_mut(session).is_some_and(|session| session.accept(*sequence, now))
            }
            _ => true,
        }
    }

    /// Does what is asked.
    fn act(&mut self, content: &Content, session: u32, from: SocketAddr, effects: &[Effect]) -> Outcome {
        match content {
            Content::Ping(tag) => {
                Outcome { code: 0, reply: Some(Reply::Whole(packet::pong(*tag))), then: Then::Nothing }
            }
            Content::Handshake(kind, payload) => {
                let offer = effects.iter().find_map(|it| if let Effect::Offer(it) = it { Some(*it) } else { None });
                let (answer, kind) = match *kind {
                    payload::OPEN_SESSION_REQUEST => {
                        (self.open_session(payload, offer), payload::OPEN_SESSION_RESPONSE)
                    }
                    payload::RAKP1 => (self.rakp1(payload), payload::RAKP2),
                    _ => (self.rakp3(payload, from), payload::RAKP4),
                };
                // The second byte of all three is the status.
                let code = answer.as_ref().map_or(0, |answer| answer[1]);
                let reply = answer.map(|answer| Reply::Whole(packet::plain(kind, &answer)));
                Outcome { code, reply, then: Then::Nothing }
            }
            Content::Message(request, wrap) => {
                let claim =
                    effects.iter().find_map(|it| if let Effect::ClaimPower(it) = it { Some(*it) } else { None });
                let (code, data, then) = match self.command(request, session) {
                    Ok((data, then)) => (0, claimed(request, data, claim), then),
                    Err(Refusal(code)) => (code, Vec::new(), Then::Nothing),
                };
                let reply = Reply::Answer { request: request.clone(), wrap: *wrap, code, data };
                Outcome { code, reply: Some(reply), then }
            }
        }
    }

    /// Executes a command, if the session may.
    fn command(&mut self, request: &Request, session: u32) -> Result<(Vec<u8>, Then), Refusal> {
        let (needed, execute) = commands::find(request.function, request.command).ok_or(commands::INVALID_COMMAND)?;
        let has = self.sessions.get(session).map(|session| session.privilege);
        if has < needed {
            return Err(commands::INSUFFICIENT_PRIVILEGE);
        }
        execute(self, &Asked { data: &request.data, session })
    }

    /// The datagrams of a reply, with all that goes wrong with them.
    fn reply(&mut self, reply: Option<Reply>, id: u32, to: SocketAddr, effects: &[Effect]) -> Vec<Outgoing> {
        let mut bytes = match reply {
            None => return Vec::new(),
            Some(Reply::Whole(bytes)) => bytes,
            Some(Reply::Answer { request, wrap, code, data }) => {
                let message = request.answer(code, &data);
                match wrap {
                    Wrap::Old => packet::old(&message),
                    Wrap::Plain => packet::plain(payload::MESSAGE, &message),
                    Wrap::Sealed { .. } => {
                        let Some(session) = self.sessions.get_mut(id) else { return Vec::new() };
                        let (sequence, console) = (session.next_sequence(), session.console_id);
                        packet::sealed(&session.keys, console, sequence, &message)
                    }
                }
            }
        };
        let slow = effects.iter().find_map(|it| if let Effect::Slow(by) = it { Some(*by) } else { None });
        let after = slow.unwrap_or_default();
        if effects.contains(&Effect::WrongCode)
            && let Some(last) = bytes.last_mut()
        {
            *last ^= 1;
        }
        let mut sent = Vec::new();
        for effect in effects {
            match effect {
                Effect::Garbage(size) => sent.push((0..=255).cycle().take(*size).collect()),
                Effect::Replay if !self.last_reply.is_empty() => sent.push(self.last_reply.clone()),
                Effect::Duplicate => sent.push(bytes.clone()),
                _ => {}
            }
        }
        sent.push(bytes.clone());
        self.last_reply = bytes;
        let mut sent: Vec<_> = sent.into_iter().map(|bytes| Outgoing { bytes, to, after }).collect();
        if effects.contains(&Effect::LoseReply) {
            return Vec::new();
        }
        if effects.contains(&Effect::Reorder) {
            self.held_back.append(&mut sent);
        } else {
            sent.append(&mut self.held_back);
        }
        for outgoing in &sent {
            self.log.datagram(false, &outgoing.bytes);
        }
        sent
    }

    fn saw(&mut self, at: Timestamp, call: Call, session: u32, content: &Content, fate: Fate) {
        let (number, data) = match content {
            Content::Message(request, _) if !commands::is_secret(request.function, request.command) => {
                (request.number, request.data.clone())
            }
            Content::Message(request, _) => (request.number, Vec::new()),
            Content::Handshake(_, payload) => (payload.first().copied().unwrap_or_default(), Vec::new()),
            Content::Ping(tag) => (*tag, Vec::new()),
        };
        self.log.seen.push(Seen { at, call, session, number, data, fate });
    }

    /// The privilege that the session of a command has now.
    pub(super) fn privilege(&self, asked: &Asked) -> Option<Privilege> {
        self.sessions.get(asked.session).map(|session| session.privilege)
    }
}

/// The answer of a fault in place of the BMC.
fn refuse(content: &Content, code: u8) -> Outcome {
    let reply = match content {
        Content::Ping(_) => None,
        Content::Message(request, wrap) => {
            Some(Reply::Answer { request: request.clone(), wrap: *wrap, code, data: Vec::new() })
        }
        Content::Handshake(kind, payload) => {
            let tag = payload.first().copied().unwrap_or_default();
            // The client's ID is in the request to open alone; elsewhere the BMC may say that it knows none.
            let id = if *kind == payload::OPEN_SESSION_REQUEST { payload.get(4..8) } else { None };
            let answer = [&[tag, code, 0, 0][..], id.unwrap_or(&[0; 4])].concat();
            Some(Reply::Whole(packet::plain(kind + 1, &answer)))
        }
    };
    Outcome { code, reply, then: Then::Nothing }
}

/// Makes of an outcome what a fault makes of it.
fn distort(effect: &Effect, outcome: &mut Outcome) {
    match (effect, &mut outcome.reply) {
        (Effect::DoneBut(wrong), Some(Reply::Answer { code, data, .. })) => {
            *code = *wrong;
            data.clear();
        }
        (Effect::Data(wrong), Some(Reply::Answer { data, .. })) => data.clone_from(wrong),
        _ => {}
    }
}

/// The answer to Get Chassis Status as a lying BMC gives it.
fn claimed(request: &Request, mut data: Vec<u8>, claim: Option<Power>) -> Vec<u8> {
    if let (commands::CHASSIS, 0x01, Some(power), Some(state)) =
        (request.function, request.command, claim, data.first_mut())
    {
        *state = *state & !1 | u8::from(power == Power::On);
    }
    data
}
