//! Little web servers that stand for the machines behind a load balancer, or for whoever is notified.

use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};

use crate::server::{Answer, Cut, Server};

/// A web server on loopback that answers every request in the same way, until told otherwise. Healthy at first.
pub struct Target {
    server: Server,
    state: Arc<Mutex<State>>,
}

struct State {
    status: StatusCode,
    body: String,
    received: Vec<String>,
}

impl Target {
    /// Starts one that answers 200 with `body`.
    pub fn start(body: &str) -> Self {
        let state = State { status: StatusCode::OK, body: body.to_owned(), received: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| answer(Arc::clone(&shared), request));
        Self { server, state }
    }

    /// `127.0.0.1:PORT`, as `--blue-target` of [`crate::World::seed`] takes it.
    pub fn address(&self) -> String {
        self.server.address.to_string()
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Answers 200 from now on, or 503.
    pub fn set_healthy(&self, healthy: bool) {
        self.lock().status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    }

    /// Answers so from now on.
    pub fn set_answer(&self, status: u16, body: &str) {
        let mut state = self.lock();
        state.status = StatusCode::from_u16(status).expect("a test gives a valid status");
        body.clone_into(&mut state.body);
    }

    /// The requests so far, each as `METHOD PATH` and its body, parted by a newline.
    pub fn received(&self) -> Vec<String> {
        self.lock().received.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

async fn answer(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Result<Answer, Cut> {
    let head = format!("{} {}", request.method(), request.uri());
    let body = request.into_body().collect().await.map_err(|_| Cut)?.to_bytes();
    let mut state = state.lock().expect("nobody panics while holding it");
    state.received.push(format!("{head}\n{}", String::from_utf8_lossy(&body)));
    let mut answer = Response::new(Full::new(Bytes::from(state.body.clone())));
    *answer.status_mut() = state.status;
    Ok(answer)
}
