//! A session and its socket. All I/O is here.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::IDLE;
use crate::error::Error;
use crate::session::{Answer, Config, Delivery, Patience, Progress, Request, Session};
use crate::wire::{CipherSuite, NetFn};

/// Longer than any answer of a BMC. What is longer is cut by the system and then no message.
const RECEIVE_BUFFER: usize = 1024;
/// A session that answered this recently is taken for alive when a command must not be sent twice.
const FRESH: Duration = Duration::from_secs(5);

/// Get Device ID (§20.1): any BMC answers it, and nothing comes of it.
const STILL_THERE: Request<'static> = Request {
    name: "Get Device ID",
    netfn: NetFn::APP,
    lun: 0,
    command: 0x01,
    data: &[],
    delivery: Delivery::Repeated,
};

/// A session and its socket.
pub(super) struct Connection {
    address: SocketAddr,
    patience: Patience,
    session: Session,
    socket: Option<UdpSocket>,
    buffer: Vec<u8>,
    /// When the BMC answered in this session last.
    answered: Option<Instant>,
    idle_timer: Option<AbortHandle>,
}

impl Connection {
    pub(super) fn new(address: SocketAddr, config: Config) -> Self {
        Self {
            address,
            patience: config.patience,
            session: Session::new(config, getrandom::fill),
            socket: None,
            buffer: Vec::new(),
            answered: None,
            idle_timer: None,
        }
    }

    /// Opens a session, if none is, and gives the command.
    pub(super) async fn request(&mut self, request: &Request<'_>) -> Result<Answer, Error> {
        self.close_if_stale().await;
        if !self.session.is_open() {
            self.open().await?;
            return self.exchange(request, self.patience).await;
        }
        match request.delivery {
            Delivery::Once => {
                self.make_sure().await?;
                self.exchange(request, self.patience).await
            }
            Delivery::Repeated => {
                let patience = self.patience.for_reuse();
                match self.exchange(request, patience).await {
                    Err(Error::NoAnswer { .. }) => {
                        self.reopen().await?;
                        self.exchange(request, self.patience).await
                    }
                    result => result,
                }
            }
        }
    }

    pub(super) async fn request_outside(&mut self, request: &Request<'_>) -> Result<Answer, Error> {
        let operation = self.begin()?;
        let progress = operation.0.session.request_outside(now(), request);
        operation.answer(progress).await
    }

    /// Opens a session, if none is open.
    pub(super) async fn open(&mut self) -> Result<CipherSuite, Error> {
        if !self.session.is_open() {
            let mut operation = self.begin()?;
            let progress = operation.0.session.open(now());
            operation.drive(progress).await?;
            operation.0.answered = Some(Instant::now());
        }
        self.session.suite().ok_or(Error::NotOpen)
    }

    pub(super) async fn close(&mut self) {
        if let Some(timer) = self.idle_timer.take() {
            timer.abort();
        }
        if let Ok(mut operation) = self.begin() {
            let progress = operation.0.session.close(now());
            // Closed, or the BMC does it by itself.
            let _ = operation.drive(progress).await;
        }
        self.session.farewell();
        let _ = self.flush();
        (self.socket, self.buffer, self.answered) = (None, Vec::new(), None);
    }

    pub(super) fn suite(&self) -> Option<CipherSuite> {
        self.session.is_open().then(|| self.session.suite()).flatten()
    }

    pub(super) fn pace(&self) -> Duration {
        self.session.pace()
    }

    /// When the session will have been idle for too long; `None`: there is none.
    pub(super) fn idle_at(&self) -> Option<Instant> {
        self.answered.filter(|_| self.session.is_open()).map(|answered| answered + IDLE)
    }

    pub(super) fn needs_idle_timer(&self) -> bool {
        self.session.is_open() && self.idle_timer.is_none()
    }

    pub(super) fn set_idle_timer(&mut self, timer: AbortHandle) {
        self.idle_timer = Some(timer);
    }

    pub(super) fn forget_idle_timer(&mut self) {
        self.idle_timer = None;
    }

    /// The timer may come late, for instance after the machine was suspended.
    async fn close_if_stale(&mut self) {
        if self.idle_at().is_some_and(|at| at <= Instant::now()) {
            self.close().await;
        }
    }

    /// Before a command that must not be sent twice: is the session still there? If not, there will be a new one.
    async fn make_sure(&mut self) -> Result<(), Error> {
        if self.answered.is_some_and(|answered| answered.elapsed() < FRESH) {
            return Ok(());
        }
        match self.exchange(&STILL_THERE, self.patience.for_reuse()).await {
            Err(Error::NoAnswer { .. }) => self.reopen().await,
            result => result.map(|_| ()),
        }
    }

    /// The BMC does not answer in this session: a new one, if it answers at all.
    async fn reopen(&mut self) -> Result<(), Error> {
        self.session.farewell();
        let _ = self.flush();
        self.open().await.map(|_| ())
    }

    async fn exchange(&mut self, request: &Request<'_>, patience: Patience) -> Result<Answer, Error> {
        let operation = self.begin()?;
        let progress = operation.0.session.request(now(), request, patience);
        let answer = operation.answer(progress).await?;
        self.answered = Some(Instant::now());
        Ok(answer)
    }

    fn begin(&mut self) -> Result<Operation<'_>, Error> {
        if self.socket.is_none() {
            self.socket = Some(connect(self.address).map_err(|source| self.cannot_send(source))?);
            self.buffer.resize(RECEIVE_BUFFER, 0);
        }
        Ok(Operation(self))
    }

    /// Sends what the session has to send. What the network remarked on earlier datagrams comes as an error of this one,
    /// which is then not sent: so it is tried once more.
    async fn send(&mut self) -> (io::Result<()>, Option<String>) {
        let (Some(datagram), Some(socket)) = (self.session.outgoing(), &self.socket) else { return (Ok(()), None) };
        match socket.send(datagram).await {
            Err(error) if is_passing(&error) => (socket.send(datagram).await.map(|_| ()), Some(error.to_string())),
            sent => (sent.map(|_| ()), None),
        }
    }

    /// Says the last words, where nobody can wait: a datagram that does not fit the socket's buffer now is lost, as if the
    /// network had lost it.
    fn flush(&mut self) -> io::Result<()> {
        match (self.session.outgoing(), &self.socket) {
            (Some(datagram), Some(socket)) => socket.try_send(datagram).map(|_| ()),
            _ => Ok(()),
        }
    }

    fn cannot_send(&self, source: io::Error) -> Error {
        Error::Socket { address: self.address, source }
    }
}

impl Drop for Connection {
    /// The BMC has few slots: say good-bye, though nobody can wait for the answer.
    fn drop(&mut self) {
        if let Some(timer) = self.idle_timer.take() {
            timer.abort();
        }
        self.session.farewell();
        let _ = self.flush();
    }
}

/// One exchange under way. If its future is dropped, the exchange is abandoned, and a set-up half way is undone.
struct Operation<'a>(&'a mut Connection);

impl Operation<'_> {
    async fn answer(mut self, progress: Result<Progress, Error>) -> Result<Answer, Error> {
        match self.drive(progress).await? {
            Progress::Answered(answer) => Ok(answer),
            _ => Err(Error::NotOpen),
        }
    }

    /// Sends, receives and waits until the exchange is over. Each wait ends at a deadline, however much is received.
    async fn drive(&mut self, mut progress: Result<Progress, Error>) -> Result<Progress, Error> {
        let connection = &mut *self.0;
        let mut remark = None;
        loop {
            let (sent, remarked) = connection.send().await;
            remark = remarked.or(remark);
            match sent {
                Err(error) if is_passing(&error) => remark = Some(error.to_string()),
                Err(error) => return Err(connection.cannot_send(error)),
                Ok(()) => {}
            }
            match progress {
                Ok(Progress::Waiting) => {}
                Err(Error::NoAnswer { step, tries, waited, .. }) => {
                    return Err(Error::NoAnswer { step, tries, waited, note: remark });
                }
                over => return over,
            }
            let (Some(wake_at), Some(socket)) = (connection.session.wake_at(), &connection.socket) else {
                return Err(Error::NotOpen);
            };
            let received = tokio::select! {
                biased;
                () = tokio::time::sleep_until(Instant::from_std(wake_at)) => None,
                received = socket.recv(&mut connection.buffer) => Some(received),
            };
            progress = match received {
                None => connection.session.expire(now()),
                Some(Ok(length)) => connection.session.receive(now(), &connection.buffer[..length]),
                Some(Err(error)) if is_passing(&error) => {
                    remark = Some(error.to_string());
                    Ok(Progress::Waiting)
                }
                Some(Err(error)) => return Err(connection.cannot_send(error)),
            };
        }
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        self.0.session.abandon();
        let _ = self.0.flush();
    }
}

/// What a BMC that reboots, or a route that flaps, makes the system say: it is worth another try.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable, WouldBlock,
    };
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | HostUnreachable | Interrupted | NetworkUnreachable | WouldBlock
    )
}

fn connect(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // Connected, so that the kernel drops what comes from elsewhere.
    let socket = std::net::UdpSocket::bind(any)?;
    socket.connect(address)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
