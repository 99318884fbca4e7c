//! A small HTTP server in the background of a test, on a runtime of its own so that the test itself stays plain.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub(crate) type Answer = Response<Full<Bytes>>;

/// The handler wants the connection closed without an answer.
#[derive(Debug)]
pub(crate) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is cut on purpose")
    }
}

impl std::error::Error for Cut {}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    // Only taken when dropped: a runtime must not wait for requests that hang.
    runtime: Option<Runtime>,
}

impl Server {
    pub(crate) fn start<F, A>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
        A: Future<Output = Result<Answer, Cut>> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("the machine has room for a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Small answers must not wait for the next packet.
                let _ = stream.set_nodelay(true);
                let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(handler.clone()));
                tokio::spawn(async move {
                    // It ends in an error where the handler cut it, or where the client went away.
                    let _ = serving.await;
                });
            }
        });
        Self { address, runtime: Some(runtime) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_millis(100));
        }
    }
}
