//! The port: who is let in, and how long somebody may take over what they send and read.
//!
//! Nobody can hold others up from here. Connections are bounded, in all and from one place; a connection is closed when
//! it sends no head in time, does not take what it is sent, or when the daemon stops.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

/// Half of the files that a process may usually open: AWS and the journal must never want for one.
const CONNECTIONS_MAX: usize = 512;
/// What comes from one place leaves room for others: a probe of `/healthz` is not starved by a leaking script.
const CONNECTIONS_FROM_ONE_PLACE_MAX: usize = 384;

/// To send the head of a request, and to begin with the next one.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// Behind the limits of `http::limits`, which are answered with a problem; beyond these it is a bare 431.
const HEADERS_MAX: usize = 256;
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// To take anything at all of what waits to be sent.
const STALL_MAX: Duration = Duration::from_secs(30);
/// What waits to be sent on one connection, and what it has sent and nobody has read yet.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// When the daemon stops: to answer what is being answered.
const GRACE: Duration = Duration::from_secs(5);

/// Before the next connection is accepted, when that has failed (no file is left to open).
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
/// Refusals are told once in this time: a log that is flooded helps nobody.
const TELL_PAUSE: Duration = Duration::from_secs(60);

/// Answers on the port until the daemon stops. Then open answers get a few seconds, and whoever is left is cut off.
pub(crate) async fn serve(listener: TcpListener, router: Router, stopping: CancellationToken) {
    let places = Arc::new(Places::default());
    let mut refusals = Refusals::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection could not be served");
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match Place::take(&places, peer.ip()) {
                Some(place) => drop(connections.spawn(talk(stream, router.clone(), stopping.clone(), place))),
                // Nothing was read: it is closed at once, and may come again.
                None => refusals.tell(peer.ip()),
            },
            // It went away before it was accepted.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted now; this is tried again");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "cut off: they were still being answered");
    }
    connections.shutdown().await;
}

async fn talk(stream: TcpStream, router: Router, stopping: CancellationToken, _place: Place) {
    // What is small goes out at once. It can only fail when the connection is gone.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STALL_MAX));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection has ended early");
    }
}

/// How many are connected from where.
#[derive(Default)]
struct Places(Mutex<BTreeMap<IpAddr, usize>>);

impl Places {
    /// The counts are changed whole or not at all, so a panic elsewhere has not spoilt them.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection, as it is counted.
struct Place {
    places: Arc<Places>,
    from: IpAddr,
}

impl Place {
    fn take(places: &Arc<Places>, peer: IpAddr) -> Option<Self> {
        let from = network(peer);
        let mut counts = places.lock();
        if counts.values().sum::<usize>() >= CONNECTIONS_MAX {
            return None;
        }
        let count = counts.entry(from).or_default();
        if *count >= CONNECTIONS_FROM_ONE_PLACE_MAX {
            return None;
        }
        *count += 1;
        Some(Self { places: places.clone(), from })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.places.lock();
        if let Some(count) = counts.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.from);
            }
        }
    }
}

/// Where an address belongs: in IPv6, one host has all addresses of its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address @ IpAddr::V4(_) => address,
    }
}

/// Connections that were refused since that was last told.
#[derive(Default)]
struct Refusals {
    count: u64,
    told: Option<Instant>,
}

impl Refusals {
    fn tell(&mut self, peer: IpAddr) {
        self.count += 1;
        if self.told.is_none_or(|told| told.elapsed() >= TELL_PAUSE) {
            tracing::warn!(
                refused = self.count,
                %peer,
                "too many connections are open (at most {CONNECTIONS_MAX}, {CONNECTIONS_FROM_ONE_PLACE_MAX} from one \
                 place); look for a client that does not close its own"
            );
            *self = Self { count: 0, told: Some(Instant::now()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, net::SocketAddr};

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Virtual time moves when everybody waits, so what is sent must be answered before it is waited for.
    struct Port {
        address: SocketAddr,
        stopping: CancellationToken,
        serving: JoinSet<()>,
    }

    impl Port {
        async fn open() -> Self {
            let router = Router::new()
                .route("/", get(|| async { "ok" }))
                .route("/never", get(|| async { pending::<()>().await }))
                .route("/much", get(|| async { vec![0_u8; 64 << 20] }));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (address, stopping) = (listener.local_addr().unwrap(), CancellationToken::new());
            let mut serving = JoinSet::new();
            serving.spawn(serve(listener, router, stopping.clone()));
            Self { address, stopping, serving }
        }

        async fn send(&self, text: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream
        }
    }

    const WHOLE: &str = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

    /// What comes until the connection is closed.
    async fn rest(mut stream: TcpStream) -> String {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await; // a reset is an end too
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_no_head_or_nothing_more_is_disconnected() {
        let port = Port::open().await;
        for (sent, answers) in [("", 0), ("GET / HTTP/1.1\r\nhost: loc", 0), (WHOLE, 1), (&WHOLE.repeat(2), 2)] {
            let begin = Instant::now();
            let answered = rest(port.send(sent).await).await;
            assert_eq!(begin.elapsed().as_secs(), HEAD_MAX.as_secs(), "{sent:?}");
            assert_eq!(answered.matches("HTTP/1.1 200 OK").count(), answers, "{sent:?}: {answered}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_without_end_is_refused() {
        let port = Port::open().await;
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        let long = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(HEAD_BYTES_MAX));
        for head in [many, long] {
            let answer = rest(port.send(&head).await).await;
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
        }
        assert!(rest(port.send(WHOLE).await).await.ends_with("ok"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_of_an_answer_is_disconnected() {
        let mut port = Port::open().await;
        let stream = port.send("GET /much HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        sleep(STALL_MAX + HEAD_MAX).await;
        assert!(rest(stream).await.len() < 64 << 20);
        port.stopping.cancel();
        let begin = Instant::now();
        port.serving.join_next().await;
        assert!(begin.elapsed() < GRACE, "it was not connected any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_closes_what_is_idle_and_cuts_off_what_hangs() {
        let mut port = Port::open().await;
        let mut idle = port.send(WHOLE).await;
        idle.read_exact(&mut [0; 16]).await.unwrap();
        let hanging = ["", "GET / HT", "GET /never HTTP/1.1\r\nhost: localhost\r\n\r\n"];
        let streams = [port.send(hanging[0]).await, port.send(hanging[1]).await, port.send(hanging[2]).await];
        assert!(rest(port.send("GET / HTTP/1.0\r\n\r\n").await).await.ends_with("ok"), "all are accepted by now");
        port.stopping.cancel();
        let begin = Instant::now();
        port.serving.join_next().await;
        assert!(begin.elapsed() <= GRACE + Duration::from_millis(1));
        for stream in streams {
            assert_eq!(rest(stream).await, "");
        }
        assert!(rest(idle).await.ends_with("ok"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_too_many_is_closed_and_room_is_made_again() {
        let port = Port::open().await;
        let mut open = Vec::new();
        for _ in 0..CONNECTIONS_FROM_ONE_PLACE_MAX {
            let mut stream = port.send(WHOLE).await;
            stream.read_exact(&mut [0; 16]).await.unwrap();
            open.push(stream);
        }
        assert_eq!(rest(port.send(WHOLE).await).await, "");
        drop(open);
        while !rest(port.send(WHOLE).await).await.ends_with("ok") {}
    }

    #[test]
    fn one_place_leaves_room_for_others_and_all_have_a_bound() {
        let places = Arc::new(Places::default());
        let take = |peer: &str| Place::take(&places, peer.parse().unwrap());
        let mut one: Vec<Place> = (0..CONNECTIONS_FROM_ONE_PLACE_MAX).map(|_| take("192.0.2.1").unwrap()).collect();
        assert!(take("192.0.2.1").is_none());
        assert!(take("::ffff:192.0.2.1").is_none());
        let left = CONNECTIONS_MAX - CONNECTIONS_FROM_ONE_PLACE_MAX;
        let others: Vec<Place> = (0..left).map(|host| take(&format!("2001:db8::{host:x}")).unwrap()).collect();
        assert!(take("198.51.100.1").is_none());
        one.pop();
        assert!(take("198.51.100.1").is_some());
        drop((one, others));
        assert!(places.lock().is_empty());
    }

    #[test]
    fn a_host_with_many_addresses_is_one_place() {
        let of = |address: &str| network(address.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
