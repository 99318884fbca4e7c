//! A receiver of requests.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// One request as it came in.
#[derive(Debug, Clone)]
pub(super) struct Received {
    /// `POST /hook`
    pub(super) line: String,
    /// By their names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Received {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// An answer that refuses, and shows everything that was sent.
pub(super) const ECHO: &str = "echo";

/// Before an answer: the connection stays open after it.
pub(super) const DRIP: &str = "drip ";

/// Answers requests one after the other, the last answer again and again; an empty answer is none: it hangs up.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    _tasks: JoinSet<()>,
}

impl Receiver {
    pub(super) async fn new(answers: &[&str]) -> Self {
        Self::over(answers, None).await
    }

    pub(super) async fn over(answers: &[&str], tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let (all, mut answers) =
            (Arc::clone(&received), answers.iter().map(|answer| (*answer).to_owned()).collect::<Vec<_>>());
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
                match &tls {
                    None => serve(stream, &all, &answer).await,
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => serve(stream, &all, &answer).await,
                        // Who refuses the certificate hangs up.
                        Err(_) => continue,
                    },
                }
            }
        });
        Self { address, received, _tasks: tasks }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The one request that there was.
    pub(super) fn only(&self) -> Received {
        let mut received = self.received();
        assert_eq!(received.len(), 1, "{received:?}");
        received.remove(0)
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, received: &Mutex<Vec<Received>>, answer: &str) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.unwrap();
        match header.trim().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let line = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
    let body = String::from_utf8(body).unwrap();
    let answer = match answer {
        ECHO => super::receiver::answer("400 Bad Request", &[], &format!("{line} {headers:?} {body}")),
        answer => answer.to_owned(),
    };
    received.lock().unwrap().push(Received { line, headers, body });
    if let Some(answer) = answer.strip_prefix(DRIP) {
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.flush().await;
        return std::future::pending().await;
    }
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// `answer("429 Too Many Requests", &["Retry-After: 30"], "slow down")`
pub(super) fn answer(status: &str, headers: &[&str], body: &str) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
