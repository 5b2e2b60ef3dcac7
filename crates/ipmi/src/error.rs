//! What can go wrong with a BMC: which step, and what it answered.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use crate::wire::{Algorithms, CipherSuite, CompletionCode, DecodeError, Privilege, RakpStatus};

/// A step of a session's life, or a command in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// RMCP+ Open Session (§13.17).
    OpenSession,
    /// RAKP 1, answered by RAKP 2 (§13.20).
    Rakp2,
    /// RAKP 3, answered by RAKP 4 (§13.22).
    Rakp4,
    /// Get Channel Cipher Suites, asked in a session of suite 3 to make sure that the BMC has no 17 (§22.15).
    CipherSuites,
    /// Set Session Privilege Level, the last step of the set-up (§22.18).
    SetPrivilege,
    /// A command in the session, by its name in the specification.
    Command(&'static str),
    /// A command outside any session, by its name in the specification.
    Outside(&'static str),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenSession => "Open Session",
            Self::Rakp2 => "RAKP 2",
            Self::Rakp4 => "RAKP 4",
            Self::CipherSuites => "Get Channel Cipher Suites",
            Self::SetPrivilege => "Set Session Privilege Level",
            Self::Command(name) | Self::Outside(name) => name,
        })
    }
}

/// A failed exchange with a BMC.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket cannot be made, or the network refuses to send.
    #[error("cannot send to {address}")]
    Socket {
        /// The BMC.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A command was given to a session that is not open.
    #[error("the session is not open")]
    NotOpen,
    /// The system has no random numbers.
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// Nothing came back.
    #[error("{step}: no answer in {} s to {tries} {}{}", waited.as_secs(), if *tries == 1 { "try" } else { "tries" }, Note(note.as_deref()))]
    NoAnswer {
        /// What was asked.
        step: Step,
        /// How often it was sent.
        tries: u32,
        /// How long was waited in all.
        waited: Duration,
        /// What the network said meanwhile, such as "connection refused".
        note: Option<String>,
    },
    /// The BMC refused a step of the session set-up.
    #[error("{step}: the BMC refuses: {status}")]
    Refused {
        /// The step.
        step: Step,
        /// Why.
        status: RakpStatus,
    },
    /// The BMC does not have a cipher suite that is good enough.
    #[error(
        "Open Session: the BMC refuses cipher suite {refused}, and no lower one than {minimum} is allowed: {status}"
    )]
    SuiteRefused {
        /// The suite proposed.
        refused: CipherSuite,
        /// The lowest that is allowed.
        minimum: CipherSuite,
        /// What the BMC answered.
        status: RakpStatus,
    },
    /// Cipher suite 17 was refused, yet the BMC has it: somebody in between may have forged the refusal.
    #[error("Open Session: cipher suite 17 was refused, but the BMC lists it; not continued with suite 3")]
    Downgraded,
    /// The BMC answered Open Session with other algorithms than were proposed.
    #[error("Open Session: the BMC selects other algorithms ({selected:?}) than those of suite {proposed}")]
    OtherAlgorithms {
        /// The suite proposed.
        proposed: CipherSuite,
        /// What the BMC selected.
        selected: Algorithms,
    },
    /// The BMC grants less than was asked for.
    #[error("{step}: the BMC grants privilege level {granted}, {asked} was asked for")]
    LowerPrivilege {
        /// The step.
        step: Step,
        /// What was asked for.
        asked: Privilege,
        /// What was granted.
        granted: Privilege,
    },
    /// The BMC's proof in RAKP 2 or 4 is not the one that the credentials make.
    #[error("{step}: the BMC's proof does not fit {}", if *step == Step::Rakp2 { "the password" } else { "the password and K_g" })]
    Unproven {
        /// The step.
        step: Step,
    },
    /// The BMC answered a command with a completion code other than "completed normally".
    #[error("{step}: the BMC answers: {}{code}", explanation.map(|words| format!("{words}; ")).unwrap_or_default())]
    Completion {
        /// The command.
        step: Step,
        /// The code.
        code: CompletionCode,
        /// What a command specific code means.
        explanation: Option<&'static str>,
    },
    /// The BMC's answer is authentic, but not what the specification says.
    #[error("{step}: the BMC's answer cannot be read: {source}")]
    Malformed {
        /// The step.
        step: Step,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// The data in the BMC changed again and again while it was read.
    #[error("{step}: the data changed while it was read, {tries} times")]
    Unsettled {
        /// The command.
        step: Step,
        /// How often it was begun anew.
        tries: u32,
    },
}

/// The network's remark in brackets.
struct Note<'a>(Option<&'a str>);

impl fmt::Display for Note<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |note| write!(f, " ({note})"))
    }
}

impl Error {
    /// The step that failed, where it was one of the BMC's.
    pub fn step(&self) -> Option<Step> {
        match self {
            Self::Socket { .. } | Self::NotOpen | Self::Random(_) => None,
            Self::SuiteRefused { .. } | Self::Downgraded | Self::OtherAlgorithms { .. } => Some(Step::OpenSession),
            Self::NoAnswer { step, .. }
            | Self::Refused { step, .. }
            | Self::LowerPrivilege { step, .. }
            | Self::Unproven { step }
            | Self::Completion { step, .. }
            | Self::Malformed { step, .. }
            | Self::Unsettled { step, .. } => Some(*step),
        }
    }

    /// True where the command may have reached the BMC and may have been executed, though it failed here. A command with
    /// an effect must then not be sent again before it is known what became of it.
    pub fn is_maybe_delivered(&self) -> bool {
        match self {
            Self::NoAnswer { step: Step::Command(_), tries, .. } => *tries > 0,
            Self::Malformed { step: Step::Command(_), .. } => true,
            // Time-out while processing, no response could be provided, duplicated request, unspecified: nothing of what
            // they say excludes that it was done (§5.2).
            Self::Completion { code, .. } => matches!(code.0, 0xc3 | 0xce | 0xcf | 0xff),
            _ => false,
        }
    }

    /// True where the BMC refused user name, password, privilege level or `K_g`. Another try with the same may lock the
    /// account.
    pub fn is_credentials_refused(&self) -> bool {
        match self {
            Self::Refused { status, .. } => status.refuses_credentials(),
            Self::Unproven { .. } => true,
            _ => false,
        }
    }

    /// True where nothing at all was heard of the BMC: not even the first step of a set-up was answered.
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::NoAnswer { step: Step::OpenSession | Step::Outside(_), .. })
    }

    /// True where there was no answer, or nothing could be sent.
    pub fn is_no_answer(&self) -> bool {
        matches!(self, Self::NoAnswer { .. } | Self::Socket { .. })
    }

    /// The completion code, where the BMC answered with one.
    pub fn completion(&self) -> Option<CompletionCode> {
        match self {
            Self::Completion { code, .. } => Some(*code),
            _ => None,
        }
    }
}
