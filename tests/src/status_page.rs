//! A stand-in for Atlassian Statuspage: incidents are created, found and updated as its API has it.

use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::server::{Answer, Cut, Server};
use crate::wait::wait_until;

/// The page `abc`, with all of its incidents.
pub struct StatusPage {
    server: Server,
    page: Arc<Mutex<Page>>,
    held: watch::Sender<bool>,
}

#[derive(Default)]
struct Page {
    incidents: Vec<Value>,
    /// Requests that published something.
    published: usize,
}

impl StatusPage {
    pub fn start() -> Self {
        let (page, (held, holds)) = (Arc::<Mutex<Page>>::default(), watch::channel(false));
        let shared = Arc::clone(&page);
        let server = Server::start(move |request| answer(Arc::clone(&shared), holds.clone(), request));
        Self { server, page, held }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// From now on it publishes what comes, and answers only when it is released.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    /// It answers again, also those who wait.
    pub fn release(&self) {
        self.held.send_replace(false);
    }

    /// The incidents of the page, as they are now.
    pub fn incidents(&self) -> Vec<Value> {
        self.page.lock().expect("nobody panics while holding it").incidents.clone()
    }

    /// How many requests have published something.
    pub fn published(&self) -> usize {
        self.page.lock().expect("nobody panics while holding it").published
    }

    /// Waits until the page shows an incident.
    #[track_caller]
    pub fn wait_for_incident(&self) -> Value {
        wait_until("an incident on the page", || self.incidents().into_iter().next())
    }
}

async fn answer(
    page: Arc<Mutex<Page>>,
    mut held: watch::Receiver<bool>,
    request: Request<Incoming>,
) -> Result<Answer, Cut> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let body = request.into_body().collect().await.map_err(|_| Cut)?.to_bytes();
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (status, shown) = page.lock().map_err(|_| Cut)?.take(&method, &path, &sent["incident"]);
    if method != Method::GET {
        held.wait_for(|held| !held).await.map_err(|_| Cut)?;
    }
    let mut response = Response::new(Full::new(Bytes::from(shown.to_string())));
    *response.status_mut() = status;
    Ok(response)
}

impl Page {
    fn take(&mut self, method: &Method, path: &str, sent: &Value) -> (StatusCode, Value) {
        let unknown = (StatusCode::NOT_FOUND, json!({ "error": "not found" }));
        let Some(path) = path.strip_prefix("/v1/pages/abc/incidents") else { return unknown };
        if *method == Method::GET {
            let open = |incident: &&Value| path != "/unresolved" || incident["status"] != "resolved";
            return (StatusCode::OK, self.incidents.iter().rev().filter(open).cloned().collect());
        }
        self.published += 1;
        if *method == Method::POST {
            let mut incident = sent.clone();
            incident["id"] = json!(format!("incident{}", self.incidents.len() + 1));
            self.incidents.push(incident.clone());
            return (StatusCode::CREATED, incident);
        }
        let id = path.trim_start_matches('/');
        let Some(incident) = self.incidents.iter_mut().find(|incident| incident["id"] == id) else { return unknown };
        for (key, value) in sent.as_object().into_iter().flatten() {
            incident[key] = value.clone();
        }
        (StatusCode::OK, incident.clone())
    }
}
