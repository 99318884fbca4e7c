//! What the daemon sends by itself: heartbeats and traces. Proxies of the environment are used as everywhere, but never to
//! this host and what belongs to it.

use std::time::Duration;

use belay_ports::near::{Nearness, nearness};
use reqwest::{Client, ClientBuilder, Response, Url, redirect::Policy};
use tokio::sync::OnceCell;

/// How much of an answer is kept; nothing in it is of interest but that it is one.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A client for near hosts, and one for others, each made when it is first used.
#[derive(Debug)]
pub(crate) struct Outbound {
    within: Duration,
    near: OnceCell<Client>,
    far: OnceCell<Client>,
}

impl Outbound {
    /// `within`: how long a request and its answer may take.
    pub(crate) fn new(within: Duration) -> Self {
        Self { within, near: OnceCell::new(), far: OnceCell::new() }
    }

    /// The client for a URL.
    ///
    /// # Errors
    /// TLS could not be set up on this host.
    pub(crate) async fn client(&self, url: &Url) -> Result<&Client, reqwest::Error> {
        let is_near = url.host_str().is_some_and(|host| nearness(host) != Nearness::Far);
        let make = |builder: ClientBuilder| async { builder.build() };
        match is_near {
            true => self.near.get_or_try_init(|| make(self.builder().no_proxy())).await,
            false => self.far.get_or_try_init(|| make(self.builder())).await,
        }
    }

    fn builder(&self) -> ClientBuilder {
        Client::builder()
            .connect_timeout(self.within / 2)
            .timeout(self.within)
            .redirect(Policy::none())
            .user_agent(concat!("belay/", env!("CARGO_PKG_VERSION")))
    }
}

/// The beginning of an answer's body.
///
/// # Errors
/// The connection breaks, or the answer takes too long.
pub(crate) async fn body(mut answer: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while body.len() < ANSWER_BYTES_MAX
        && let Some(chunk) = answer.chunk().await?
    {
        body.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES_MAX - body.len())]);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        task::JoinSet,
    };

    use super::*;

    #[tokio::test]
    async fn of_an_endless_answer_the_beginning_is_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
        });
        let outbound = Outbound::new(Duration::from_secs(60));
        let answer = outbound.client(&url).await.unwrap().get(url.clone()).send().await.unwrap();
        assert_eq!(body(answer).await.unwrap().len(), ANSWER_BYTES_MAX);
    }
}
