//! Somebody who takes webhooks, and keeps what came.

use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::Value;
use tokio::sync::watch;

use crate::server::{Answer, Cut, Server};
use crate::wait::wait_until;

/// One request as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    pub id: String,
    pub signature: Option<String>,
    pub body: Value,
}

impl Hook {
    /// `incident`
    pub fn kind(&self) -> &str {
        self.body["data"]["facts"]["kind"].as_str().unwrap_or_default()
    }
}

/// Takes webhooks on loopback.
pub struct Receiver {
    server: Server,
    hooks: Arc<Mutex<Vec<Hook>>>,
    behaviour: watch::Sender<Behaviour>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    Answers(StatusCode),
    /// Keeps what comes, and lets whoever sent it wait.
    Holds,
}

impl Receiver {
    pub fn start() -> Self {
        let hooks = Arc::new(Mutex::new(Vec::new()));
        let (behaviour, behaves) = watch::channel(Behaviour::Answers(StatusCode::OK));
        let kept = Arc::clone(&hooks);
        let server = Server::start(move |request| answer(Arc::clone(&kept), behaves.clone(), request));
        Self { server, hooks, behaviour }
    }

    /// `http://127.0.0.1:PORT/PATH`
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.server.address)
    }

    /// From now on it keeps what comes and does not answer.
    pub fn hold(&self) {
        self.behaviour.send_replace(Behaviour::Holds);
    }

    /// From now on, and for all who wait, this is the answer.
    pub fn answer_with(&self, status: u16) {
        let status = StatusCode::from_u16(status).expect("a status");
        self.behaviour.send_replace(Behaviour::Answers(status));
    }

    /// Waits until so many have come, and gives them.
    #[track_caller]
    pub fn wait_for_count(&self, count: usize) -> Vec<Hook> {
        wait_until(&format!("{count} notices"), || Some(self.hooks()).filter(|hooks| hooks.len() >= count))
    }

    /// What has come so far.
    pub fn hooks(&self) -> Vec<Hook> {
        self.hooks.lock().expect("nobody panics while holding it").clone()
    }

    /// Waits for a notice of this kind.
    #[track_caller]
    pub fn wait_for(&self, kind: &str) -> Hook {
        wait_until(&format!("a notice of {kind:?}"), || self.hooks().into_iter().find(|hook| hook.kind() == kind))
    }
}

async fn answer(
    hooks: Arc<Mutex<Vec<Hook>>>,
    mut behaves: watch::Receiver<Behaviour>,
    request: Request<Incoming>,
) -> Result<Answer, Cut> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    let (id, signature) = (header("webhook-id").unwrap_or_default(), header("webhook-signature"));
    let body = request.into_body().collect().await.map_err(|_| Cut)?.to_bytes();
    let body = serde_json::from_slice(&body).map_err(|_| Cut)?;
    hooks.lock().expect("nobody panics while holding it").push(Hook { id, signature, body });
    let answers = behaves.wait_for(|behaviour| *behaviour != Behaviour::Holds).await.map_err(|_| Cut)?;
    let Behaviour::Answers(status) = *answers else { return Err(Cut) };
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    Ok(response)
}
