//! The set-up of a session: Open Session, RAKP 1 to 4, then inside the session what makes it safe to use.

use std::time::Instant;

use super::{Answer, Awaited, Delivery, Live, Progress, Purpose, Request, Session, Stage, Window};
use crate::commands::channel;
use crate::crypto::KeyExchange;
use crate::error::{Error, Step};
use crate::wire::{
    CipherSuite, DecodeError, NetFn, OpenSessionRequest, OpenSessionResponse, Payload, PayloadType, Privilege, Rakp1,
    Rakp2, Rakp3, Rakp4, RakpStatus, Role,
};

/// A set-up in which the BMC has lost the session half way is begun again this often.
const MAX_RESTARTS: u8 = 2;
/// Parts of 16 bytes of the list of cipher suites that are read: all suites of the specification fit into 6.
const MAX_SUITE_PARTS: u8 = 8;

/// How often the set-up was begun again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Restarts(u8);

/// What Open Session proposes.
pub(super) struct Proposal {
    suite: CipherSuite,
    console_session: u32,
    restarts: Restarts,
}

/// What is known when RAKP 1 is sent.
pub(super) struct Exchanging {
    proposal: Proposal,
    bmc_session: u32,
    console_random: [u8; 16],
}

/// Whether an answer with this session id is of the set-up with ours. A refusal may name none: the BMC has forgotten the
/// session, or ends its refusals early.
fn concerns(named: u32, is_refusal: bool, ours: u32) -> bool {
    named == ours || (is_refusal && named == 0)
}

impl Session {
    fn role(&self) -> Role {
        Role { privilege: Some(self.config.privilege), name_only: self.config.name_only_lookup }
    }

    fn next_tag(&mut self) -> u8 {
        self.tag = self.tag.wrapping_add(1);
        self.tag
    }

    /// Sends Open Session Request with the algorithms of `suite`.
    pub(super) fn propose(&mut self, now: Instant, suite: CipherSuite, restarts: Restarts) -> Result<Progress, Error> {
        // 0 is no session.
        let console_session = u32::from_le_bytes(self.random_array()?).max(1);
        let tag = self.next_tag();
        let request = OpenSessionRequest {
            tag,
            max_privilege: Some(self.config.privilege),
            console_session,
            algorithms: suite.algorithms(),
        };
        let mut payload = Vec::with_capacity(32);
        request.encode(&mut payload);
        self.stage = Stage::Proposing(Proposal { suite, console_session, restarts });
        self.write_setup(PayloadType::OpenSessionRequest, &payload);
        self.await_answer(now, Awaited::OpenSession { tag }, self.patience())
    }

    /// A payload in clear, outside a session. What is not the awaited step's, or is not of this set-up, is ignored.
    pub(super) fn on_setup(
        &mut self,
        now: Instant,
        payload: &Payload<'_>,
        awaited: Awaited,
    ) -> Result<Progress, Error> {
        match (payload.kind, awaited) {
            (PayloadType::OpenSessionResponse, Awaited::OpenSession { tag }) => {
                match OpenSessionResponse::decode(payload.data) {
                    Ok(response) if response.tag == tag => self.on_open_session(now, &response),
                    _ => Ok(Progress::Waiting),
                }
            }
            (PayloadType::Rakp2, Awaited::Rakp2 { tag }) => match Rakp2::decode(payload.data) {
                Ok(rakp2) if rakp2.tag == tag => self.on_rakp2(now, &rakp2),
                _ => Ok(Progress::Waiting),
            },
            (PayloadType::Rakp4, Awaited::Rakp4 { tag }) => match Rakp4::decode(payload.data) {
                Ok(rakp4) if rakp4.tag == tag => self.on_rakp4(now, &rakp4),
                _ => Ok(Progress::Waiting),
            },
            _ => Ok(Progress::Waiting),
        }
    }

    fn on_open_session(&mut self, now: Instant, response: &OpenSessionResponse) -> Result<Progress, Error> {
        let Stage::Proposing(proposal) = &self.stage else { return Ok(Progress::Waiting) };
        if !concerns(response.console_session, response.result.is_err(), proposal.console_session) {
            return Ok(Progress::Waiting);
        }
        let Proposal { suite, restarts, .. } = *proposal;
        let accepted = match response.result {
            Ok(accepted) => accepted,
            Err(status) if status.refuses_algorithms() => return self.on_suite_refused(now, suite, restarts, status),
            Err(status) => return Err(Error::Refused { step: Step::OpenSession, status }),
        };
        if accepted.algorithms != suite.algorithms() {
            return Err(Error::OtherAlgorithms { proposed: suite, selected: accepted.algorithms });
        }
        if let Some(granted) = accepted.max_privilege.filter(|granted| *granted < self.config.privilege) {
            return Err(Error::LowerPrivilege { step: Step::OpenSession, asked: self.config.privilege, granted });
        }
        let exchanging = Exchanging {
            proposal: Proposal { suite, console_session: proposal.console_session, restarts },
            bmc_session: accepted.bmc_session,
            console_random: self.random_array()?,
        };
        self.stage = Stage::Exchanging(Box::new(exchanging));
        self.send_rakp1()?;
        self.await_answer(now, Awaited::Rakp2 { tag: self.tag }, self.patience())
    }

    /// The only way to suite 3: the BMC says that it does not have 17. Since anybody can say so in its name,
    /// [`Session::on_suites`] asks again once the session is authentic.
    fn on_suite_refused(
        &mut self,
        now: Instant,
        refused: CipherSuite,
        restarts: Restarts,
        status: RakpStatus,
    ) -> Result<Progress, Error> {
        let minimum = self.config.minimum_suite;
        if refused > minimum {
            return self.propose(now, CipherSuite::Suite3, restarts);
        }
        Err(Error::SuiteRefused { refused, minimum, status })
    }

    /// Writes RAKP 1, with a new tag: only the answer to the last one counts.
    pub(super) fn send_rakp1(&mut self) -> Result<(), Error> {
        let tag = self.next_tag();
        let Stage::Exchanging(exchanging) = &self.stage else { return Err(Error::NotOpen) };
        let rakp1 = Rakp1 {
            tag,
            bmc_session: exchanging.bmc_session,
            console_random: exchanging.console_random,
            role: self.role(),
            username: self.config.credentials.username.as_bytes(),
        };
        let mut payload = Vec::with_capacity(64);
        rakp1.encode(&mut payload);
        self.write_setup(PayloadType::Rakp1, &payload);
        if let Some(pending) = &mut self.pending
            && let Awaited::Rakp2 { tag: awaited } = &mut pending.awaited
        {
            *awaited = tag;
        }
        Ok(())
    }

    fn on_rakp2(&mut self, now: Instant, rakp2: &Rakp2<'_>) -> Result<Progress, Error> {
        let Stage::Exchanging(exchanging) = &self.stage else { return Ok(Progress::Waiting) };
        let Proposal { suite, console_session, restarts } = exchanging.proposal;
        if !concerns(rakp2.console_session, rakp2.result.is_err(), console_session) {
            return Ok(Progress::Waiting);
        }
        let accepted = match rakp2.result {
            Ok(accepted) => accepted,
            Err(status) => return self.on_rakp_refused(now, Step::Rakp2, status, suite, restarts),
        };
        let exchange = KeyExchange {
            suite,
            console_session,
            bmc_session: exchanging.bmc_session,
            console_random: exchanging.console_random,
            bmc_random: accepted.bmc_random,
            bmc_guid: accepted.bmc_guid,
            role: self.role(),
            username: self.config.credentials.username.clone(),
        };
        let password = &self.config.credentials.password;
        if !exchange.verify_rakp2(password, accepted.key_exchange_code) {
            // So the BMC frees the slot at once (§13.22).
            self.write_rakp3(exchange.bmc_session, Err(RakpStatus::INVALID_INTEGRITY_CHECK_VALUE));
            return Err(Error::Unproven { step: Step::Rakp2 });
        }
        let live = Live {
            suite,
            keys: exchange.session_keys(password, self.config.credentials.kg.as_ref()),
            console_session,
            bmc_session: exchange.bmc_session,
            guid: exchange.bmc_guid,
            outbound: 1,
            inbound: Window::default(),
        };
        let proof = exchange.rakp3_code(password);
        self.write_rakp3(exchange.bmc_session, Ok(proof.as_bytes()));
        self.stage = Stage::Proving(Box::new(exchange), Box::new(live), restarts);
        self.await_answer(now, Awaited::Rakp4 { tag: self.tag }, self.patience())
    }

    fn write_rakp3(&mut self, bmc_session: u32, result: Result<&[u8], RakpStatus>) {
        let tag = self.next_tag();
        let mut payload = Vec::with_capacity(64);
        Rakp3 { tag, bmc_session, result }.encode(&mut payload);
        self.write_setup(PayloadType::Rakp3, &payload);
    }

    fn on_rakp4(&mut self, now: Instant, rakp4: &Rakp4<'_>) -> Result<Progress, Error> {
        let Stage::Proving(exchange, live, restarts) = &self.stage else { return Ok(Progress::Waiting) };
        if !concerns(rakp4.console_session, rakp4.result.is_err(), live.console_session) {
            return Ok(Progress::Waiting);
        }
        let code = match rakp4.result {
            Ok(code) => code,
            Err(status) => return self.on_rakp_refused(now, Step::Rakp4, status, live.suite, *restarts),
        };
        if !live.keys.verify_rakp4(exchange, code) {
            return Err(Error::Unproven { step: Step::Rakp4 });
        }
        let Stage::Proving(_, live, _) = std::mem::replace(&mut self.stage, Stage::Closed) else {
            return Ok(Progress::Waiting);
        };
        let suite = live.suite;
        self.stage = Stage::Live(live);
        match suite {
            CipherSuite::Suite17 => self.set_privilege(now),
            CipherSuite::Suite3 => {
                self.suites.clear();
                self.ask_suites(now, 0)
            }
        }
    }

    /// A BMC that answered RAKP 1 or 3, but whose answer was lost, may not know the session any more when asked again.
    fn on_rakp_refused(
        &mut self,
        now: Instant,
        step: Step,
        status: RakpStatus,
        suite: CipherSuite,
        Restarts(restarts): Restarts,
    ) -> Result<Progress, Error> {
        let lost = [RakpStatus::INVALID_SESSION_ID, RakpStatus::INACTIVE_SESSION_ID].contains(&status);
        if lost && restarts < MAX_RESTARTS {
            return self.propose(now, suite, Restarts(restarts + 1));
        }
        // The BMC has ended the set-up by itself.
        self.forget();
        Err(Error::Refused { step, status })
    }

    /// In a session of suite 3, now authentic: does the BMC have 17 after all?
    fn ask_suites(&mut self, now: Instant, index: u8) -> Result<Progress, Error> {
        let request = Request {
            name: "Get Channel Cipher Suites",
            netfn: NetFn::APP,
            lun: 0,
            command: channel::GET_CHANNEL_CIPHER_SUITES,
            data: &channel::cipher_suites_request(index),
            delivery: Delivery::Repeated,
        };
        self.command(now, &request, Purpose::VerifySuite { index }, self.patience())
    }

    pub(super) fn on_suites(&mut self, now: Instant, index: u8, answer: &Answer) -> Result<Progress, Error> {
        // A BMC that does not know the command is older than suite 17.
        let part = if answer.completion.is_ok() { answer.data.get(1..).unwrap_or_default() } else { &[] };
        self.suites.extend_from_slice(part);
        if part.len() >= channel::CIPHER_SUITES_PART && index + 1 < MAX_SUITE_PARTS {
            return self.ask_suites(now, index + 1);
        }
        let listed = channel::suite_ids(&std::mem::take(&mut self.suites));
        if listed.contains(&CipherSuite::Suite17.id()) {
            return Err(Error::Downgraded);
        }
        self.set_privilege(now)
    }

    /// A session begins at privilege level User at most (§22.18); more must be asked for.
    fn set_privilege(&mut self, now: Instant) -> Result<Progress, Error> {
        if self.config.privilege <= Privilege::User {
            self.pending = None;
            return Ok(Progress::Opened);
        }
        let request = Request {
            name: "Set Session Privilege Level",
            netfn: NetFn::APP,
            lun: 0,
            command: 0x3b,
            data: &[self.config.privilege.number()],
            delivery: Delivery::Repeated,
        };
        self.command(now, &request, Purpose::SetPrivilege, self.patience())
    }

    pub(super) fn on_privilege(&mut self, answer: &Answer) -> Result<Progress, Error> {
        let step = Step::SetPrivilege;
        if !answer.completion.is_ok() {
            let explanation = match answer.completion.0 {
                0x80 => Some("the level asked for is not available to this user"),
                0x81 => Some("the level asked for exceeds the limit of the channel or of the user"),
                0x82 => Some("user level authentication cannot be disabled"),
                _ => None,
            };
            return Err(Error::Completion { step, code: answer.completion, explanation });
        }
        let granted = answer.data.first().and_then(|byte| Privilege::from_number(byte & 0x0f));
        let invalid = DecodeError::Invalid { what: "Set Session Privilege Level", why: "no such privilege level" };
        let granted = granted.ok_or(Error::Malformed { step, source: invalid })?;
        if granted < self.config.privilege {
            return Err(Error::LowerPrivilege { step, asked: self.config.privilege, granted });
        }
        self.pending = None;
        Ok(Progress::Opened)
    }

    fn write_setup(&mut self, kind: PayloadType, payload: &[u8]) {
        self.datagram.clear();
        Payload::outside_session(kind, payload).encode(&mut self.datagram);
        self.unsent = true;
    }
}
