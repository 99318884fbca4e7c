//! A blocking HTTP client for tests, of daemons and of emulators' own pages.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(30);

type Error = Box<dyn std::error::Error + Send + Sync>;

/// An answer, whatever its status.
#[derive(Debug)]
pub struct HttpAnswer {
    /// Its status code.
    pub status: u16,
    /// Its `Content-Type`, empty if it has none.
    pub content_type: String,
    /// Its body.
    pub body: String,
}

impl HttpAnswer {
    /// The body as JSON. Panics with all there is if it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON: {error}: {self:?}"))
    }
}

/// Makes one request to `http://HOST:PORT/...`. An error means that there was no whole answer: nobody listens, the
/// connection broke, or half a minute passed.
pub fn http(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Result<HttpAnswer, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(method, url, headers, body)).await? })
}

/// `GET`, without headers.
pub fn http_get(url: &str) -> Result<HttpAnswer, Error> {
    http("GET", url, &[], "")
}

/// `POST` of a JSON document.
pub fn http_post(url: &str, document: &Value) -> Result<HttpAnswer, Error> {
    http("POST", url, &[("content-type", "application/json")], &document.to_string())
}

async fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Result<HttpAnswer, Error> {
    let uri: Uri = url.parse()?;
    let address = uri.authority().ok_or("the URL names no host")?.as_str();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder().method(method).uri(path).header("host", address);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned())))?;
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    // The sender sees the same errors; what is left of the connection ends with the runtime.
    tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let body = String::from_utf8_lossy(&answer.into_body().collect().await?.to_bytes()).into_owned();
    Ok(HttpAnswer { status, content_type, body })
}
