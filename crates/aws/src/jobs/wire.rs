//! An endpoint for tests: answers in a row, and what was asked.

use std::{
    io,
    sync::{Arc, Mutex},
};

use belay_core::id::RunId;
use belay_plan::model::{AwsTarget, Target};
use belay_ports::Scope;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use crate::{
    session::{Access, Aws},
    testing,
};

/// Gives each connection the next answer, and keeps the requests.
pub(crate) struct Wire {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    _server: JoinSet<io::Result<()>>,
}

impl Wire {
    pub(crate) async fn new(answers: impl IntoIterator<Item = String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answers) = (requests.clone(), answers.into_iter().collect::<Vec<_>>());
        let mut server = JoinSet::new();
        server.spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await?;
                let mut request = String::new();
                while !is_whole(&request) {
                    let mut chunk = [0; 16 * 1024];
                    let read = stream.read(&mut chunk).await?;
                    if read == 0 {
                        break;
                    }
                    request.push_str(&String::from_utf8_lossy(&chunk[..read]));
                }
                seen.lock().unwrap().push(request);
                stream.write_all(answer.as_bytes()).await?;
            }
            Ok(())
        });
        Self { url, requests, _server: server }
    }

    pub(crate) async fn aws(&self) -> Aws {
        testing::aws_at(Access::ReadWrite, &self.url).await
    }

    /// Everything that was asked, whole.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// An answer in JSON, with more header lines.
pub(crate) fn json_with(status: &str, headers: &str, body: &Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}

pub(crate) fn json(body: &Value) -> String {
    json_with("200 OK", "", body)
}

/// A refusal.
pub(crate) fn error(status: &str, code: &str) -> String {
    let header = format!("x-amzn-errortype: {code}\r\n");
    json_with(status, &header, &serde_json::json!({ "__type": code, "message": "not today" }))
}

/// The n-th try of a step.
pub(crate) fn scope(with: Value, tries: u32) -> Scope {
    Scope {
        step: "fence".to_owned(),
        run: (tries > 0).then(|| RunId("01k8abcd2345".to_owned())),
        tries,
        aws: AwsTarget::default(),
        to: Target::Own,
        ..testing::scope(with, None, None)
    }
}
