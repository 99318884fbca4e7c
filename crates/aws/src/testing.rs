//! What the unit tests of the systems share.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    io,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sts::config::{Credentials, SharedCredentialsProvider};
use belay_core::change::{Assessment, Change, Effect, Proof, Receipt, Sent, SentOutcome};
use belay_plan::model::{AwsTarget, Others, Target};
use belay_ports::{Clock, Fut, Scope};
use jiff::Timestamp;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::OnceCell,
    task::JoinSet,
};

use crate::{
    budget::Budget,
    calls::Calls,
    resolver::Resolver,
    session::{Access, Aws},
};

pub(crate) fn target() -> AwsTarget {
    AwsTarget { account: Some("111122223333".to_owned()), region: Some("eu-west-1".to_owned()), ..AwsTarget::default() }
}

/// A step that returns to `to`, or to the baseline.
pub(crate) fn scope(with: Value, to: Option<Value>, others: Option<Others>) -> Scope {
    Scope {
        migration: "checkout".to_owned(),
        step: "back".to_owned(),
        run: None,
        tries: 0,
        deadline: None,
        aws: target(),
        with,
        to: to.map_or(Target::Baseline, Target::Explicit),
        others,
        baseline: None,
        cutover: None,
        stages: None,
        timeout: Duration::from_secs(300),
        before: None,
        sent: Vec::new(),
        previous: None,
        objectives: Default::default(),
        interlocks: Vec::new(),
    }
}

/// What a scope tells of the sends that these receipts answer.
pub(crate) fn accepted(receipts: &[Receipt]) -> Vec<Sent> {
    let sent =
        |receipt: &Receipt| Sent { change: receipt.change.clone(), at: receipt.at, outcome: SentOutcome::Accepted };
    receipts.iter().map(sent).collect()
}

/// The one change that remains.
pub(crate) fn remaining(assessment: Assessment) -> Change {
    match assessment {
        Assessment::Remaining(mut changes) if changes.len() == 1 => changes.remove(0),
        other => panic!("not one remaining change: {other:?}"),
    }
}

pub(crate) fn failed(assessment: Assessment) -> String {
    match assessment {
        Assessment::Failed { why } => why,
        other => panic!("not failed: {other:?}"),
    }
}

/// The proof of one destination of a change.
pub(crate) fn proof<'a>(change: &'a Change, destination: &str) -> &'a Proof {
    let [Effect::Traffic { shares }] = change.effects.as_slice() else { panic!("not only traffic: {change:?}") };
    &shares.iter().find(|share| share.destination == destination).expect("a share").proof
}

/// An endpoint that counts the connections it gets, and answers each with one response.
pub(crate) struct Endpoint {
    url: String,
    pub(crate) connections: Arc<AtomicUsize>,
    _server: JoinSet<io::Result<()>>,
}

impl Endpoint {
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

pub(crate) async fn endpoint(response: String) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let mut server = JoinSet::new();
    let count = connections.clone();
    server.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await?;
            count.fetch_add(1, Ordering::SeqCst);
            let _request = stream.read(&mut [0; 16 * 1024]).await?;
            stream.write_all(response.as_bytes()).await?;
        }
    });
    Endpoint { url, connections, _server: server }
}

/// An endpoint that keeps what it was asked last, and answers each request with the same response.
pub(crate) struct Recorder {
    url: String,
    last: Arc<Mutex<String>>,
    _server: JoinSet<io::Result<()>>,
}

impl Recorder {
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The body of the last request.
    pub(crate) fn last(&self) -> String {
        self.last.lock().unwrap().clone()
    }
}

pub(crate) async fn recording(response: String) -> Recorder {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let last = Arc::new(Mutex::new(String::new()));
    let mut server = JoinSet::new();
    let kept = last.clone();
    server.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await?;
            let mut request = Vec::new();
            let body = loop {
                let mut buffer = [0; 16 * 1024];
                let read = stream.read(&mut buffer).await?;
                request.extend_from_slice(&buffer[..read]);
                let text = String::from_utf8_lossy(&request);
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let head = head.to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
                if read == 0 || length.is_none_or(|length: usize| body.len() >= length) {
                    break body.to_owned();
                }
            };
            *kept.lock().unwrap() = body;
            stream.write_all(response.as_bytes()).await?;
        }
    });
    Recorder { url, last, _server: server }
}

/// The parameters of a request in the query protocol, decoded.
pub(crate) fn form(body: &str) -> BTreeMap<String, String> {
    let decode = |text: &str| percent_decode(&text.replace('+', " "));
    body.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (decode(name), decode(value))).collect()
}

fn percent_decode(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).unwrap());
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).unwrap()
}

/// An endpoint that gives its answers one after the other, and keeps what it was asked.
pub(crate) struct Script {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    _server: JoinSet<io::Result<()>>,
}

impl Script {
    /// Bodies that go with success.
    pub(crate) async fn answering(bodies: impl IntoIterator<Item = String>) -> Self {
        Self::new(bodies.into_iter().map(|body| (200, body))).await
    }

    /// After the last answer it is gone.
    pub(crate) async fn new(answers: impl IntoIterator<Item = (u16, String)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut server = JoinSet::new();
        let (asked, answers) = (requests.clone(), answers.into_iter().collect::<Vec<_>>());
        server.spawn(async move {
            for (status, body) in answers {
                let (mut stream, _) = listener.accept().await?;
                let mut request = vec![0; 64 * 1024];
                let length = stream.read(&mut request).await?;
                request.truncate(length);
                asked.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
                stream.write_all(http(&status.to_string(), &body).as_bytes()).await?;
            }
            Ok(())
        });
        Self { url, requests, _server: server }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// An endpoint that answers each request by its body, and keeps the bodies.
pub(crate) struct Wire {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    _server: JoinSet<io::Result<()>>,
}

impl Wire {
    pub(crate) async fn answering(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let mut server = JoinSet::new();
        let kept = requests.clone();
        server.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await?;
                let body = body(&mut stream).await?;
                let response = answer(&body);
                kept.lock().unwrap().push(body);
                stream.write_all(response.as_bytes()).await?;
            }
        });
        Self { url, requests, _server: server }
    }

    pub(crate) async fn aws(&self, access: Access) -> Aws {
        aws_at(access, &self.url).await
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn body(stream: &mut TcpStream) -> io::Result<String> {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Ok(body.to_owned());
            }
        }
        let mut part = [0; 16 * 1024];
        let length = stream.read(&mut part).await?;
        request.extend_from_slice(&part[..length]);
    }
}

pub(crate) async fn aws_at(access: Access, url: &str) -> Aws {
    aws_observed(access, url, Calls::told_to(Arc::new(Still { wakes: false }), Arc::new(()))).await
}

pub(crate) fn http(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/xml\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

pub(crate) async fn aws(access: Access, endpoint: &Endpoint) -> Aws {
    aws_at(access, endpoint.url()).await
}

pub(crate) async fn aws_observed(access: Access, url: &str, calls: Calls) -> Aws {
    let credentials = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
    let config = aws_config::defaults(BehaviorVersion::latest())
        .empty_test_environment()
        .region(Region::new("eu-west-1"))
        .endpoint_url(url)
        .credentials_provider(credentials);
    let budget = Budget::new(Arc::new(Jumping::default()), Arc::new(()));
    Aws::with_base(access, calls, budget, OnceCell::new_with(Some(config.load().await)), Arc::new(Unresolved))
}

pub(crate) fn with_config(config: SdkConfig) -> Aws {
    accessing(Access::ReadOnly, config)
}

pub(crate) fn accessing(access: Access, config: SdkConfig) -> Aws {
    let clock: Arc<dyn Clock> = Arc::new(Still { wakes: false });
    let budget = Budget::new(Arc::new(Jumping::default()), Arc::new(()));
    let calls = Calls::told_to(clock, Arc::new(()));
    Aws::with_base(access, calls, budget, OnceCell::new_with(Some(config)), Arc::new(Unresolved))
}

/// A clock that stands still: a sleep is over at once, or never.
pub(crate) struct Still {
    pub(crate) wakes: bool,
}

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep<'a>(&'a self, _time: Duration) -> Fut<'a, ()> {
        if self.wakes { Box::pin(std::future::ready(())) } else { Box::pin(std::future::pending()) }
    }
}

/// A clock whose sleeps take no time, and move it.
#[derive(Default)]
pub(crate) struct Jumping(AtomicU64);

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }

    /// The shortest sleep goes first: whoever polls it twice has slept.
    fn sleep<'a>(&'a self, time: Duration) -> Fut<'a, ()> {
        let until = self.monotonic() + time;
        Box::pin(poll_fn(move |context| {
            if self.monotonic() >= until {
                return Poll::Ready(());
            }
            self.0.fetch_add(1_000, Ordering::Relaxed);
            context.waker().wake_by_ref();
            Poll::Pending
        }))
    }
}

/// A session that reaches nothing.
pub(crate) fn nowhere() -> Aws {
    Aws::new(Access::ReadOnly, Arc::new(Still { wakes: false }), Arc::new(()), Vec::new())
}

/// No name leads anywhere.
struct Unresolved;

impl Resolver for Unresolved {
    fn addresses<'a>(&'a self, _name: &'a str) -> Fut<'a, Result<Vec<IpAddr>, String>> {
        Box::pin(async { Err("no such name".to_owned()) })
    }
}
