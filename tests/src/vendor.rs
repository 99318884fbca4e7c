//! Credentials that do not last, as a container gets them from its agent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use jiff::Timestamp;

use crate::server::Server;

/// Hands out another access key each time it is asked: `KEY1`, `KEY2`, ...
pub struct Vendor(Server);

impl Vendor {
    /// Each key is good for that long.
    pub fn start(lifetime: Duration) -> Self {
        let count = Arc::new(AtomicUsize::new(0));
        Self(Server::start(move |_| {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            let body = serde_json::json!({
                "AccessKeyId": format!("KEY{number}"), "SecretAccessKey": "test", "Token": "test",
                "Expiration": (Timestamp::now() + lifetime).to_string(),
            });
            let answer = Response::builder().header("content-type", "application/json");
            async move { Ok(answer.body(Full::new(Bytes::from(body.to_string()))).expect("it is valid")) }
        }))
    }

    /// For `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
    pub fn url(&self) -> String {
        format!("http://{}/credentials", self.0.address)
    }
}
