//! The ports and sockets: who is let in, and how long somebody may take over what they send and read.
//!
//! Nobody can hold others up from here. Connections are bounded (`places`); a connection is closed when it sends no head in
//! time, does not take what it is sent, or when the daemon stops.

mod address;
mod places;
mod proxies;

pub(crate) use self::places::{Answering, Full, Visit};
pub use self::{address::Address, proxies::Proxies};

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use self::{
    address::{Listener, Stream},
    places::{Limits, Places},
};

/// Together half of the files that a process may usually open: AWS and the journal must never want for one.
const PORT_LIMITS: Limits = Limits { connections: 448, answered: 288, answered_from_one_place: 216 };
/// A socket has places of its own, so no flood on the port fills them. Everybody there comes from this host.
const SOCKET_LIMITS: Limits = Limits { connections: 64, answered: 32, answered_from_one_place: 32 };

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

/// The addresses that the daemon listens on.
#[derive(Debug)]
pub struct Listeners(Vec<Listener>);

impl Listeners {
    /// Listens on all of them, or on none.
    ///
    /// # Errors
    /// The first address that cannot be listened on, and why.
    pub(crate) async fn bind(addresses: &[Address]) -> Result<Self, (Address, io::Error)> {
        let mut listeners = Vec::new();
        for address in addresses {
            listeners.push(Listener::bind(address).await.map_err(|error| (address.clone(), error))?);
        }
        Ok(Self(listeners))
    }

    /// The port that is listened on, if there is one: the one that was taken, where any free one was asked for.
    pub fn port(&self) -> Option<SocketAddr> {
        self.0.iter().find_map(|listener| match listener {
            Listener::Port(listener) => listener.local_addr().ok(),
            Listener::Socket(_) => None,
        })
    }

    /// Answers on each of them until the daemon stops.
    pub(crate) fn serve(self, router: &Router, stopping: &CancellationToken) -> JoinSet<()> {
        let mut serving = JoinSet::new();
        for listener in self.0 {
            serving.spawn(serve(listener, router.clone(), stopping.clone()));
        }
        serving
    }
}

/// Answers until the daemon stops. Then open answers get a few seconds, and whoever is left is cut off.
async fn serve(listener: Listener, router: Router, stopping: CancellationToken) {
    let places = Places::new(match &listener {
        Listener::Port(_) => PORT_LIMITS,
        Listener::Socket(_) => SOCKET_LIMITS,
    });
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
            Ok((stream, peer)) => {
                let visit = Visit::begin(&places, peer);
                connections.spawn(talk(stream, router.clone(), stopping.clone(), visit));
            }
            // It went away before it was accepted.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
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

async fn talk(stream: Stream, router: Router, stopping: CancellationToken, visit: Arc<Visit>) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STALL_MAX));
    let router = TowerToHyperService::new(router);
    let of = visit.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(of.clone());
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = visit.closed() => return,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection has ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, slice};

    use axum::{middleware, routing::get};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpStream, UnixStream},
        time::Instant,
    };

    use crate::http::place;

    use super::*;

    /// Virtual time moves when everybody waits, so what is sent must be answered before it is waited for.
    struct Port {
        address: Option<SocketAddr>,
        stopping: CancellationToken,
        serving: JoinSet<()>,
    }

    impl Port {
        async fn open() -> Self {
            Self::at(&"127.0.0.1:0".parse().unwrap()).await
        }

        async fn at(address: &Address) -> Self {
            let placed = |request, next| async move { place::held(&Proxies::default(), request, next).await };
            let router = Router::new()
                .route("/", get(|| async { "ok" }))
                .route("/never", get(|| async { pending::<()>().await }))
                .route("/much", get(|| async { vec![0_u8; 64 << 20] }))
                .route_layer(middleware::from_fn(placed))
                .route("/healthz", get(|| async { "alive" }));
            let listeners = Listeners::bind(slice::from_ref(address)).await.unwrap();
            let (address, stopping) = (listeners.port(), CancellationToken::new());
            let serving = listeners.serve(&router, &stopping);
            Self { address, stopping, serving }
        }

        async fn send(&self, text: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address.unwrap()).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream
        }
    }

    const NEVER: &str = "GET /never HTTP/1.1\r\nhost: localhost\r\n\r\n";
    const LAST: &str = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
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
        let hanging = ["", "GET / HT", NEVER];
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
    async fn half_open_connections_shut_nobody_out() {
        let port = Port::open().await;
        let answered = port.send(NEVER).await;
        let mut half_open = Vec::new();
        for _ in 0..2 * PORT_LIMITS.connections {
            half_open.push(port.send("GET / HT").await);
        }
        assert!(rest(port.send(LAST).await).await.ends_with("ok"));
        assert_eq!(rest(half_open.remove(0)).await, "", "the oldest made room");
        assert_eq!(answered.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock, "it is still answered");
    }

    #[tokio::test(start_paused = true)]
    async fn the_request_too_many_is_told_so_and_health_is_answered_all_the_same() {
        let port = Port::open().await;
        let mut open = Vec::new();
        for _ in 0..PORT_LIMITS.answered_from_one_place {
            open.push(port.send(NEVER).await);
        }
        let refused = rest(port.send(LAST).await).await;
        assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("/problems/busy"), "{refused}");
        assert!(rest(port.send(&LAST.replace("/ ", "/healthz ")).await).await.ends_with("alive"));
        drop(open);
        while !rest(port.send(LAST).await).await.ends_with("ok") {}
    }

    #[tokio::test]
    async fn a_socket_is_answered_on_as_a_port_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("belay.sock");
        let port = Port::at(&Address::Socket(path.clone())).await;
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(LAST.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("ok"), "{answer}");
        drop(port);
    }
}
