//! The BMC on its socket.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::bmc::{Bmc, Outgoing};

/// No datagram is longer.
const LONGEST: usize = 2048;

/// One BMC and its socket.
pub(super) struct Host {
    bmc: Mutex<Bmc>,
    socket: UdpSocket,
    /// Grows with each datagram that was dealt with.
    received: watch::Sender<u64>,
}

impl Host {
    pub(super) fn new(bmc: Bmc, socket: UdpSocket) -> Arc<Self> {
        Arc::new(Self { bmc: Mutex::new(bmc), socket, received: watch::channel(0).0 })
    }

    /// Looks at the BMC or changes it.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Bmc) -> T) -> T {
        act(&mut self.bmc.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes with each datagram that was dealt with.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.received.subscribe()
    }

    /// Answers what comes, for ever.
    pub(super) async fn serve(self: Arc<Self>) {
        let mut buffer = vec![0; LONGEST];
        let mut late = JoinSet::new();
        loop {
            let received = tokio::select! {
                received = self.socket.recv_from(&mut buffer) => received,
                Some(_) = late.join_next() => continue,
            };
            // An error is that of an answer that nobody took, and not of the socket.
            let Ok((length, from)) = received else { continue };
            let outgoing = self.with(|bmc| bmc.receive(&buffer[..length], from));
            self.received.send_modify(|received| *received += 1);
            for outgoing in outgoing {
                if outgoing.after.is_zero() {
                    self.send(&outgoing).await;
                } else {
                    let host = self.clone();
                    late.spawn(async move {
                        sleep(outgoing.after).await;
                        host.send(&outgoing).await;
                    });
                }
            }
        }
    }

    async fn send(&self, outgoing: &Outgoing) {
        // As with any datagram, nobody learns whether it arrives.
        let _ = self.socket.send_to(&outgoing.bytes, outgoing.to).await;
    }
}
