//! Listening, how many connections there are, and the end of both.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use genie_core::figures::Figure;
use genie_core::tap::Tap;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use crate::edge::{Edge, Options};
use crate::sessions::Peer;
use crate::{connection, metrics, router};

/// How long to wait when the system gives no connection, such as for want of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// How long open requests may take to end once the listener is closed.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// Why an edge does not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct StartError {
    address: SocketAddr,
    source: io::Error,
}

/// A running edge.
pub struct Server {
    edge: Arc<Edge>,
    address: SocketAddr,
    stop: CancellationToken,
    closed: oneshot::Receiver<()>,
}

/// Starts an edge that listens on this address; port 0 is any free one. Its streams show what `tap`
/// gives: to each client what is theirs.
///
/// # Errors
/// [`StartError`] if the address cannot be had.
pub async fn start(options: Options, tap: Tap, address: SocketAddr) -> Result<Server, StartError> {
    let unusable = |source| StartError { address, source };
    let listener = TcpListener::bind(address).await.map_err(unusable)?;
    let address = listener.local_addr().map_err(unusable)?;
    let edge = Edge::new(options, tap);
    let (stop, (closing, closed)) = (CancellationToken::new(), oneshot::channel());
    let door = Door { edge: edge.clone(), router: router::router(&edge), stop: stop.clone() };
    edge.tasks.spawn(async move {
        door.open(listener).await;
        // Whoever waits for this may have gone.
        let _ = closing.send(());
    });
    Ok(Server { edge, address, stop, closed })
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What gives the figures of `/metrics`.
    #[must_use]
    pub fn figures(&self) -> Arc<dyn Fn() -> Vec<Figure> + Send + Sync> {
        let edge = self.edge.clone();
        Arc::new(move || metrics::figures(&edge))
    }

    /// Says that it is about to stop: `/ready` is 503 from now on, everything else works on.
    pub fn drain(&self) {
        self.edge.drain();
    }

    /// Ends streams with an event after which clients may come back, closes the listener, and
    /// waits, for a bounded time, until the open requests have ended.
    pub async fn close(self) {
        self.edge.closing.cancel();
        self.stop.cancel();
        // An error means that there is nothing to wait for.
        let _ = self.closed.await;
        self.edge.tasks.shut_down().await;
    }
}

/// What accepts connections.
struct Door {
    edge: Arc<Edge>,
    router: Router,
    stop: CancellationToken,
}

impl Door {
    async fn open(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(self.edge.options.limits.connections_max));
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => break,
                accepted = accept(&listener, &places) => accepted,
            };
            match accepted {
                Ok((stream, peer, place)) => {
                    self.serve((stream, peer), place, graceful.watcher());
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
        drop(listener);
        if tokio::time::timeout(CLOSE_WAIT, graceful.shutdown()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
    }

    fn serve(&self, accepted: (TcpStream, Peer), place: OwnedSemaphorePermit, watcher: Watcher) {
        let (edge, router) = (self.edge.clone(), self.router.clone());
        self.edge.tasks.spawn(async move {
            edge.counters.connections.fetch_add(1, Ordering::Relaxed);
            connection::serve(&edge, router, accepted, watcher).await;
            edge.counters.connections.fetch_sub(1, Ordering::Relaxed);
            drop(place);
        });
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, Peer, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, Peer(address.ip()), place))
}
