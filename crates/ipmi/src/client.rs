//! The async client: one BMC, at most one session, one command at a time.

mod connection;

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::commands::Command;
use crate::error::{Error, Step};
use crate::session::{Answer, Config, Delivery, Request};
use crate::wire::{CipherSuite, CompletionCode};
use connection::Connection;

/// A session without work is closed after this long: slots are few, and a BMC drops a session that was idle for 60 s,
/// give or take 3 s (§6.12.15), without a word.
pub const IDLE: Duration = Duration::from_secs(45);

/// How often a command that only reads is asked again when the BMC says that it is busy.
const BUSY_TRIES: u32 = 4;
/// The first pause then; it doubles.
const BUSY_PAUSE: Duration = Duration::from_millis(250);

/// A BMC. Clones share the session.
///
/// The session is opened with the first command, kept while there is work, closed after [`IDLE`] without, and opened anew
/// when the BMC has forgotten it. Commands are given one after the other, whoever calls. When the last clone is dropped,
/// also in the middle of a call, a Close Session is sent; to wait for its answer, call [`Client::close`].
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    address: SocketAddr,
    connection: Mutex<Connection>,
}

impl Client {
    /// A client for the BMC at `address` (port 623 nearly always). Nothing is sent yet.
    pub fn new(address: SocketAddr, config: Config) -> Self {
        Self { inner: Arc::new(Inner { address, connection: Mutex::new(Connection::new(address, config)) }) }
    }

    /// Where the BMC is.
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// Gives a command and returns what the BMC answers.
    ///
    /// A command that only reads is repeated: when datagrams are lost, when the BMC is busy, and once more in a new session
    /// when there is no answer in one that was open before. A command with an effect is sent once
    /// ([`Delivery::Once`](crate::session::Delivery)), after a look whether an idle session still lives; when it fails,
    /// [`Error::is_maybe_delivered`] says whether it may have been executed.
    pub async fn run<C: Command>(&self, command: &C) -> Result<C::Output, Error> {
        // A command may carry a password.
        let mut data = Zeroizing::new(Vec::new());
        command.encode(&mut data);
        read(command, Step::Command(C::NAME), &self.request(&request_of(command, &data)).await?)
    }

    /// Gives any command. Completion codes are in the answer; [`CompletionCode::NODE_BUSY`] and its like are waited out
    /// for commands that only read.
    pub async fn request(&self, request: &Request<'_>) -> Result<Answer, Error> {
        let mut pause = BUSY_PAUSE;
        for _ in 1..BUSY_TRIES {
            let answer = self.once(request).await?;
            if !answer.completion.is_transient() || request.delivery == Delivery::Once {
                return Ok(answer);
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.once(request).await
    }

    async fn once(&self, request: &Request<'_>) -> Result<Answer, Error> {
        let mut connection = self.lock().await;
        let answer = connection.request(request).await;
        self.close_when_idle(&mut connection);
        answer
    }

    /// Gives a command outside any session, as is allowed for Get Channel Authentication Capabilities and a few others
    /// (§5.1, Table 5-1). Needs no credentials; its answer proves nothing.
    pub async fn run_outside<C: Command>(&self, command: &C) -> Result<C::Output, Error> {
        let mut data = Vec::new();
        command.encode(&mut data);
        let answer = self.lock().await.request_outside(&request_of(command, &data)).await?;
        read(command, Step::Outside(C::NAME), &answer)
    }

    /// Opens the session, if there is none, and returns its cipher suite.
    pub async fn open(&self) -> Result<CipherSuite, Error> {
        let mut connection = self.lock().await;
        let suite = connection.open().await;
        self.close_when_idle(&mut connection);
        suite
    }

    /// The cipher suite of the session, if one is open.
    pub async fn suite(&self) -> Option<CipherSuite> {
        self.lock().await.suite()
    }

    /// How long the BMC's answers took lately; nothing before the first.
    pub async fn pace(&self) -> Duration {
        self.lock().await.pace()
    }

    /// Closes the session and waits a moment for the BMC to say so. The next command opens a new one.
    pub async fn close(&self) {
        self.lock().await.close().await;
    }

    async fn lock(&self) -> MutexGuard<'_, Connection> {
        self.inner.connection.lock().await
    }

    /// One timer per open session. It ends with the session, and does not keep the client alive.
    fn close_when_idle(&self, connection: &mut Connection) {
        if connection.needs_idle_timer() {
            let inner = Arc::downgrade(&self.inner);
            let at = Instant::now() + IDLE;
            connection.set_idle_timer(tokio::spawn(close_idle(inner, at)).abort_handle());
        }
    }
}

fn request_of<'a, C: Command>(command: &C, data: &'a [u8]) -> Request<'a> {
    Request { name: C::NAME, netfn: C::NETFN, lun: command.lun(), command: C::COMMAND, data, delivery: C::DELIVERY }
}

fn read<C: Command>(command: &C, step: Step, answer: &Answer) -> Result<C::Output, Error> {
    match answer.completion {
        CompletionCode::OK => command.decode(&answer.data).map_err(|source| Error::Malformed { step, source }),
        code => Err(Error::Completion { step, code, explanation: C::explain(code) }),
    }
}

async fn close_idle(inner: Weak<Inner>, mut at: Instant) {
    loop {
        tokio::time::sleep_until(at).await;
        let Some(inner) = inner.upgrade() else { return };
        let mut connection = inner.connection.lock().await;
        match connection.idle_at() {
            Some(later) if later > Instant::now() => at = later,
            _ => {
                connection.forget_idle_timer();
                connection.close().await;
                return;
            }
        }
    }
}
