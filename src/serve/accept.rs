//! Taking connections: so many at a time and so many of one address, each with a time limit for the head of a request and for
//! taking what is written, and a way to end them all cleanly. A request that was begun is answered; a connection that is idle is
//! closed, and so is what somebody listens to.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;

use super::App;
use super::limit::neighbourhood;

/// Bytes of a request's head, and how many headers it may have.
pub(super) const HEAD_BYTES: usize = 32 << 10;
const HEADERS: usize = 100;
/// How long requests that are under way may take once the end is asked for.
const LAST_CALL: Duration = Duration::from_secs(10);
/// A pause after a connection could not be taken, as when this process has too many files open.
const BREATH: Duration = Duration::from_millis(50);

/// Takes connections until `stop` comes, and answers what was begun by then.
pub(super) async fn run(
    listener: TcpListener,
    app: Arc<App>,
    router: Router,
    stop: impl Future<Output = ()>,
) {
    let room = Arc::new(Semaphore::new(app.options.max_connections));
    let seats = Seats::new(&app);
    let (ending, ends) = watch::channel(false);
    let mut stop = std::pin::pin!(stop);
    loop {
        // Whoever comes when all places are taken waits in the system's queue.
        let place = tokio::select! {
            place = room.clone().acquire_owned() => place,
            () = &mut stop => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(seat) = seats.take(peer.ip()) else {
                    app.metrics.refused("crowded");
                    continue;
                };
                let connection = serve_connection(stream, peer, app.clone(), router.clone(), ends.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop((place, seat));
                });
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!("a connection could not be taken: {error}");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    drop(listener);
    drop(ends);
    app.live.end();
    let _ = ending.send(true);
    if tokio::time::timeout(LAST_CALL, ending.closed()).await.is_err() {
        tracing::warn!("requests that were still under way are given up");
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: Arc<App>,
    router: Router,
    mut ends: watch::Receiver<bool>,
) {
    // Answers are written whole: there is nothing to wait for.
    let _ = stream.set_nodelay(true);
    app.metrics.connected(1);
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = hyper::service::Service::call(&service, request.map(Body::new));
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(app.options.header_timeout));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.options.header_timeout)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { drop(ends.wait_for(|ends| *ends).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(address = %peer.ip(), "a connection ended early: {error}");
    }
    app.metrics.connected(-1);
}

/// How many connections each address has. One has at most half of the places, so that others find one; this machine and the
/// proxies that are trusted speak for many.
#[derive(Clone)]
struct Seats {
    most: usize,
    exempt: Arc<[IpAddr]>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Seats {
    fn new(app: &App) -> Seats {
        let most = (app.options.max_connections / 2).max(1);
        Seats { most, exempt: app.options.trusted_proxies.clone().into(), taken: Arc::default() }
    }

    /// Null where the address has as many as it may.
    fn take(&self, address: IpAddr) -> Option<Seat> {
        let is_exempt = {
            let address = address.to_canonical();
            address.is_loopback() || self.exempt.contains(&address)
        };
        let address = neighbourhood(address);
        if !is_exempt {
            let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
            let count = taken.entry(address).or_insert(0);
            if *count >= self.most {
                return None;
            }
            *count += 1;
        }
        Some(Seat((!is_exempt).then(|| (self.clone(), address))))
    }
}

/// A connection of an address, as long as it lasts.
struct Seat(Option<(Seats, IpAddr)>);

impl Drop for Seat {
    fn drop(&mut self) {
        let Some((seats, address)) = &self.0 else { return };
        let mut taken = seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(address);
            }
        }
    }
}

/// True of what only the connection has: the next one may be taken at once.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_half_of_the_places_and_proxies_speak_for_many() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let seats = Seats { most: 2, exempt: [address("192.0.2.1")].into(), taken: Arc::default() };
        let of_network = [seats.take(address("2001:db8::1")), seats.take(address("2001:db8::2"))];
        assert!(of_network.iter().all(Option::is_some) && seats.take(address("2001:db8::3")).is_none());
        assert!(seats.take(address("2001:db8:0:1::1")).is_some());
        drop(of_network);
        assert!(seats.take(address("2001:db8::3")).is_some() && seats.taken.lock().unwrap().is_empty());
        for exempt in ["192.0.2.1", "::ffff:192.0.2.1", "127.0.0.1", "::1"] {
            let many: Vec<_> = (0..5).map(|_| seats.take(address(exempt))).collect();
            assert!(many.iter().all(Option::is_some), "{exempt}");
        }
    }
}
