//! The session machine with a hostile BMC: one that anybody may pretend to be, and one that knows the password.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use slipway_ipmi::crypto::{KeyExchange, SessionKeys};
use slipway_ipmi::session::{Config, Delivery, Patience, Progress, Request, Session};
use slipway_ipmi::wire::{
    Datagram, NetFn, OpenSessionAccepted, OpenSessionRequest, OpenSessionResponse, Payload, PayloadType, Rakp1, Rakp2,
    Rakp2Accepted, Rakp3, Rakp4, RequestMessage, Role,
};
use slipway_ipmi::{CipherSuite, CompletionCode, Credentials, Error, Password, Privilege, Username};

/// With foreseeable random numbers the session's ids are known, so that a BMC's answers can be forged.
const RANDOM: u8 = 0x07;
const TICK: Duration = Duration::from_millis(100);

/// The bytes are datagrams (a length, then as many bytes) and the passing of time (length 0). Whatever comes, it ends, and
/// nothing that is sent is weaker than what was asked for.
pub fn set_up(data: &[u8]) {
    for minimum in [CipherSuite::Suite3, CipherSuite::Suite17] {
        let mut dialogue = Dialogue::new(minimum);
        let mut going = dialogue.step(Session::open);
        let mut rest = data;
        while let ([length, after @ ..], true) = (rest, going) {
            let (datagram, after) = after.split_at(after.len().min(usize::from(*length)));
            rest = after;
            going = if datagram.is_empty() { dialogue.silence() } else { dialogue.hear(datagram) };
        }
        dialogue.end();
    }
}

/// The bytes are what a BMC does that knows the password: an action, a length, and as many bytes. What it says is heard once,
/// as it said it.
pub fn command(data: &[u8]) {
    let mut dialogue = Dialogue::new(CipherSuite::Suite17);
    let mut bmc = Bmc::log_in(&mut dialogue);
    let mut last = Vec::new();
    let mut heard = HashSet::new();
    let mut rest = data;
    let mut going = true;
    while let ([action, length, after @ ..], true) = (rest, going) {
        let (bytes, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        let (first, more) = bytes.split_first().map_or((0, bytes), |(first, more)| (*first, more));
        match action % 5 {
            0 => {
                going = dialogue.silence();
                continue;
            }
            1 => last = bmc.answer(&dialogue.datagram, CompletionCode(first), more),
            // Any message, at any distance from the newest.
            2 => last = bmc.seal(bmc.sequence.wrapping_add_signed(i32::from(first.cast_signed())), more),
            3 => last = bytes.to_vec(),
            // The last one again.
            _ => {}
        }
        let answers = dialogue.answers;
        going = dialogue.hear(&last);
        if let (true, Ok(Datagram::Protected(packet))) = (dialogue.answers > answers, Datagram::decode(&last)) {
            assert!(heard.insert(packet.sequence), "packet {} is heard twice", packet.sequence);
        }
    }
    dialogue.end();
}

/// A session, and what it has sent.
struct Dialogue {
    session: Session,
    minimum: CipherSuite,
    now: Instant,
    /// What was sent last.
    datagram: Vec<u8>,
    proposed: Option<CipherSuite>,
    /// Sequence number of the newest packet of this session.
    sequence: u32,
    /// Whether a command is under way that may be sent once.
    once: bool,
    commands: u8,
    answers: u8,
}

impl Dialogue {
    fn new(minimum: CipherSuite) -> Self {
        let mut config = Config::new(Credentials::new("admin", "secret").unwrap());
        config.patience = Patience { tries: 3, ..Patience::default() };
        config.minimum_suite = minimum;
        let session = Session::new(config, |bytes| {
            bytes.fill(RANDOM);
            Ok(())
        });
        let datagram = Vec::new();
        let now = Instant::now();
        Self { session, minimum, now, datagram, proposed: None, sequence: 0, once: false, commands: 0, answers: 0 }
    }

    fn hear(&mut self, datagram: &[u8]) -> bool {
        self.now += TICK;
        self.step(|session, now| session.receive(now, datagram))
    }

    /// Until the machine has something to do by itself.
    fn silence(&mut self) -> bool {
        let Some(at) = self.session.wake_at() else { return false };
        self.now = at;
        self.step(Session::expire)
    }

    /// Whether something is awaited after it.
    fn step(&mut self, then: impl FnOnce(&mut Session, Instant) -> Result<Progress, Error>) -> bool {
        let progress = then(&mut self.session, self.now);
        self.look();
        if !matches!(progress, Ok(Progress::Waiting)) {
            self.once = false;
        }
        match progress {
            Ok(Progress::Waiting) => true,
            Ok(Progress::Opened) => {
                assert!(self.session.suite().is_some_and(|suite| suite >= self.minimum), "{:?}", self.session.suite());
                assert_eq!(self.session.suite(), self.proposed);
                // The privilege was asked for, and with suite 3 the list of suites.
                assert!(self.sequence >= if self.proposed == Some(CipherSuite::Suite3) { 2 } else { 1 });
                self.ask()
            }
            Ok(Progress::Answered(_)) => {
                self.answers += 1;
                self.ask()
            }
            Err(_) if self.session.is_open() => self.ask(),
            Ok(Progress::Closed) | Err(_) => false,
        }
    }

    /// The next command, each second one with an effect; in the end it is closed.
    fn ask(&mut self) -> bool {
        if self.commands == 8 {
            return self.step(Session::close);
        }
        self.commands += 1;
        let delivery = if self.commands.is_multiple_of(2) { Delivery::Once } else { Delivery::Repeated };
        let request = Request { name: "any", netfn: NetFn::APP, lun: 0, command: 1, data: &[], delivery };
        let going = self.step(|session, now| session.request(now, &request, Patience::default()));
        self.once = delivery == Delivery::Once;
        going
    }

    /// What is sent: nothing weaker than was asked for, each packet with a new number, a command with an effect once.
    fn look(&mut self) {
        let Some(bytes) = self.session.outgoing() else { return };
        assert!(bytes.len() <= 256, "a datagram of {} bytes", bytes.len());
        self.datagram = bytes.to_vec();
        match Datagram::decode(&self.datagram).unwrap() {
            Datagram::Plain(Payload { kind: PayloadType::OpenSessionRequest, data, .. }) => {
                let request = OpenSessionRequest::decode(data).unwrap();
                let suite = CipherSuite::from_algorithms(request.algorithms).unwrap();
                assert!(suite >= self.minimum, "suite {suite} is proposed");
                assert!(suite == CipherSuite::Suite17 || self.proposed.is_some(), "17 comes first");
                assert_eq!(request.max_privilege, Some(Privilege::Administrator));
                (self.proposed, self.sequence) = (Some(suite), 0);
            }
            Datagram::Plain(Payload { kind: PayloadType::Rakp1, data, .. }) => {
                assert_eq!(Rakp1::decode(data).unwrap().role.privilege, Some(Privilege::Administrator));
            }
            Datagram::Plain(payload) => assert_eq!(payload.kind, PayloadType::Rakp3),
            Datagram::Protected(packet) => {
                assert!(packet.encrypted && packet.authenticated, "a packet in clear");
                assert!(packet.sequence > self.sequence, "{} after {}", packet.sequence, self.sequence);
                assert!(!self.once, "a command with an effect is sent again");
                self.sequence = packet.sequence;
            }
            Datagram::V15(_) => panic!("a packet outside of the session"),
        }
    }

    /// From here on silence: after each exchange's deadline it is over.
    fn end(mut self) {
        self.commands = 8;
        let going = (0..64).all(|_| self.silence());
        assert!(!going, "the session does not end");
        self.once = false;
        self.session.farewell();
        self.look();
        assert!(self.session.wake_at().is_none(), "nothing is awaited at the end");
    }
}

/// A BMC that knows the password.
struct Bmc {
    keys: SessionKeys,
    session: u32,
    sequence: u32,
}

impl Bmc {
    /// Answers as it should, until the session is open.
    fn log_in(dialogue: &mut Dialogue) -> Self {
        assert!(dialogue.step(Session::open));
        let request = OpenSessionRequest::decode(plain(&dialogue.datagram)).unwrap();
        let accepted = OpenSessionAccepted {
            max_privilege: request.max_privilege,
            bmc_session: 9,
            algorithms: request.algorithms,
        };
        let response =
            OpenSessionResponse { tag: request.tag, console_session: request.console_session, result: Ok(accepted) };
        say(dialogue, PayloadType::OpenSessionResponse, |out| response.encode(out));
        let exchange = KeyExchange {
            suite: CipherSuite::Suite17,
            console_session: request.console_session,
            bmc_session: 9,
            console_random: [RANDOM; 16],
            bmc_random: [1; 16],
            bmc_guid: [2; 16],
            role: Role { privilege: Some(Privilege::Administrator), name_only: true },
            username: Username::new("admin").unwrap(),
        };
        let password = Password::new("secret").unwrap();
        let code = exchange.rakp2_code(&password);
        let accepted = Rakp2Accepted { bmc_random: [1; 16], bmc_guid: [2; 16], key_exchange_code: code.as_bytes() };
        let tag = Rakp1::decode(plain(&dialogue.datagram)).unwrap().tag;
        let rakp2 = Rakp2 { tag, console_session: request.console_session, result: Ok(accepted) };
        say(dialogue, PayloadType::Rakp2, |out| rakp2.encode(out));
        let keys = exchange.session_keys(&password, None);
        let code = keys.rakp4_code(&exchange);
        let tag = Rakp3::decode(plain(&dialogue.datagram)).unwrap().tag;
        let rakp4 = Rakp4 { tag, console_session: request.console_session, result: Ok(code.as_bytes()) };
        say(dialogue, PayloadType::Rakp4, |out| rakp4.encode(out));
        let mut bmc = Self { keys, session: request.console_session, sequence: 0 };
        let granted = bmc.answer(&dialogue.datagram, CompletionCode(0), &[Privilege::Administrator.number()]);
        assert!(dialogue.hear(&granted) && dialogue.session.is_open());
        bmc
    }

    /// The answer to the request in a datagram.
    fn answer(&mut self, datagram: &[u8], completion: CompletionCode, data: &[u8]) -> Vec<u8> {
        let Ok(Datagram::Protected(packet)) = Datagram::decode(datagram) else { panic!("it sent no request") };
        let mut clear = Vec::new();
        self.keys.open(&packet, &mut clear).unwrap();
        let mut message = Vec::new();
        RequestMessage::decode(&clear).unwrap().respond(completion, data).encode(&mut message);
        self.sequence += 1;
        self.seal(self.sequence, &message)
    }

    fn seal(&self, sequence: u32, message: &[u8]) -> Vec<u8> {
        let mut datagram = Vec::new();
        self.keys.seal(PayloadType::Ipmi, self.session, sequence, [3; 16], message, &mut datagram);
        datagram
    }
}

fn plain(datagram: &[u8]) -> &[u8] {
    match Datagram::decode(datagram) {
        Ok(Datagram::Plain(payload)) => payload.data,
        other => panic!("{other:?}"),
    }
}

fn say(dialogue: &mut Dialogue, kind: PayloadType, encode: impl FnOnce(&mut Vec<u8>)) {
    let (mut payload, mut datagram) = (Vec::new(), Vec::new());
    encode(&mut payload);
    Payload::outside_session(kind, &payload).encode(&mut datagram);
    assert!(dialogue.hear(&datagram));
}
