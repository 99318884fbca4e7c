//! A CloudWatch of the test: Smithy RPC v2 CBOR over HTTP.

use std::{
    io,
    sync::{Arc, Mutex},
};

use ciborium::{Value as Cbor, cbor};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use crate::{
    session::{Access, Aws},
    testing::aws_at,
};

/// A status and a body.
pub(crate) type Answer = (&'static str, Cbor);

pub(crate) struct CloudWatch {
    url: String,
    seen: Arc<Mutex<Vec<Value>>>,
    _server: JoinSet<io::Result<()>>,
}

impl CloudWatch {
    pub(crate) async fn start(answer: impl Fn(&Value) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, mut server) = (Arc::<Mutex<Vec<Value>>>::default(), JoinSet::new());
        let calls = Arc::clone(&seen);
        server.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await?;
                let mut request = Vec::new();
                let body = loop {
                    stream.read_buf(&mut request).await?;
                    if let Some(body) = whole_body(&request) {
                        break body;
                    }
                };
                let asked: Value = ciborium::from_reader(body.as_slice()).map(plain).unwrap();
                let (status, answer) = answer(&asked);
                calls.lock().unwrap().push(asked);
                let mut body = Vec::new();
                ciborium::into_writer(&answer, &mut body).unwrap();
                let head = format!(
                    "HTTP/1.1 {status}\r\nsmithy-protocol: rpc-v2-cbor\r\ncontent-type: application/cbor\r\n\
                     content-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(&[head.as_bytes(), &body].concat()).await?;
            }
        });
        Self { url, seen, _server: server }
    }

    pub(crate) async fn aws(&self) -> Aws {
        aws_at(Access::ReadOnly, &self.url).await
    }

    /// What each call asked for.
    pub(crate) fn calls(&self) -> Vec<Value> {
        self.seen.lock().unwrap().clone()
    }
}

/// What CloudWatch answers to a value that it does not take.
pub(crate) fn refused(message: &str) -> Answer {
    let error = cbor!({"__type" => "ValidationError", "message" => message});
    ("400 Bad Request", error.unwrap())
}

fn whole_body(request: &[u8]) -> Option<Vec<u8>> {
    let head_end = request.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&request[..head_end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let body = &request[head_end..];
    (body.len() == length.parse::<usize>().unwrap()).then(|| body.to_vec())
}

/// As far as the ids and names in a call go.
fn plain(value: Cbor) -> Value {
    match value {
        Cbor::Map(entries) => {
            entries.into_iter().map(|(key, value)| (key.into_text().unwrap(), plain(value))).collect()
        }
        Cbor::Array(items) => items.into_iter().map(plain).collect(),
        Cbor::Text(text) => text.into(),
        _ => Value::Null,
    }
}
