//! The HTTP client of all AWS calls: the SDK's own connection pool, made here so that the account's budget can stand before
//! it, and so that its sockets have TCP keep-alive.

use std::time::Duration;

use aws_smithy_http_client::{
    pool::{self, ConnectionPool, DriverSpawner, Partition, PartitionId},
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use tokio::runtime::Handle;

/// A NAT gateway or a VPC endpoint drops a connection that is silent for 350 s, and a Lambda function may take 15 minutes to
/// answer. AWS's other SDKs keep the connections of their Lambda clients alive for the same reason.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(60);

/// Over rustls with the system's certificates, and the proxies that `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` name. Its
/// connections live as long as the runtime that it is made in.
pub(crate) fn client() -> SharedHttpClient {
    let only = PartitionId::from_index(0);
    let runtime = Handle::current();
    let connections = Partition::new(only, DriverSpawner::from_fn(move |task| drop(runtime.spawn(task))));
    let pool = ConnectionPool::builder()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .proxy_config(ProxyConfig::from_env())
        .tcp_keepalive(KEEP_ALIVE_AFTER)
        .partitions([connections])
        .build_https()
        .expect("the SDK brings a timer, and there is one partition");
    SharedHttpClient::new(Client(pool::Client::from_partition(&pool, only).expect("the pool has this partition")))
}

/// The pool's client; its errors show whether there was a connection at all.
#[derive(Debug)]
struct Client(pool::Client);

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.0.http_connector(settings, components);
        // Only with a time-out of its own may an answer be late without the pool naming the connection.
        SharedHttpConnector::new(Connector { inner, waits: settings.read_timeout().is_none() })
    }
}

#[derive(Debug)]
struct Connector {
    inner: SharedHttpConnector,
    /// It waits for an answer as long as the caller does.
    waits: bool,
}

/// There was no connection, so no byte of the request was sent.
#[derive(Debug, thiserror::Error)]
#[error("no connection")]
pub(crate) struct NotConnected(#[source] ConnectorError);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (answer, waits) = (self.inner.call(request), self.waits);
        HttpConnectorFuture::new(async move { answer.await.map_err(|error| told(error, waits)) })
    }
}

/// The pool names the connection in every error that comes after there was one.
fn told(error: ConnectorError, waits: bool) -> ConnectorError {
    if error.connection_metadata().is_some() || error.is_user() || (error.is_timeout() && !waits) {
        return error;
    }
    match (error.is_timeout(), error.is_io(), error.as_other()) {
        (true, ..) => ConnectorError::timeout(NotConnected(error).into()),
        (_, true, _) => ConnectorError::io(NotConnected(error).into()),
        (.., kind) => ConnectorError::other(NotConnected(error).into(), kind),
    }
    .never_connected()
}

#[cfg(test)]
mod tests {
    use std::io;

    use belay_core::input::ErrorClass;
    use belay_plan::model::AwsTarget;
    use belay_ports::ApplyError;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use crate::{
        errors,
        session::Access,
        testing::{aws_at, http},
    };

    /// What a write to this address comes to.
    async fn sent_to(url: &str) -> ApplyError {
        let clients = aws_at(Access::ReadWrite, url).await.clients(&AwsTarget::default()).await.unwrap();
        let sent = clients.elbv2.write.delete_rule().rule_arn("arn").send().await;
        errors::apply(sent.unwrap_err(), "elasticloadbalancing:DeleteRule", "a rule")
    }

    /// The timers of this host's connections to a port, as the kernel lists them: 2 is keep-alive.
    #[cfg(target_os = "linux")]
    fn timers(port: u16) -> io::Result<Vec<String>> {
        let table = std::fs::read_to_string("/proc/net/tcp")?;
        let peer = format!(":{port:04X}");
        let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        let ours = rows.filter(|row| row.get(2).is_some_and(|remote| remote.ends_with(&peer)));
        Ok(ours.filter_map(|row| row.get(5)?.split(':').next().map(ToOwned::to_owned)).collect())
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_silent_connection_is_kept_alive() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _request = stream.read(&mut [0; 16 * 1024]).await.unwrap();
            // The request is acknowledged, and nothing is under way.
            let found = loop {
                let found = timers(address.port()).unwrap();
                if !found.contains(&"01".to_owned()) {
                    break found;
                }
                tokio::task::yield_now().await;
            };
            stream.write_all(http("400 Bad Request", "").as_bytes()).await.unwrap();
            found
        };
        let (_, found) = tokio::join!(sent_to_address(address), server);
        assert_eq!(found, ["02"]);
    }

    #[cfg(target_os = "linux")]
    async fn sent_to_address(address: std::net::SocketAddr) -> ApplyError {
        sent_to(&format!("http://{address}")).await
    }

    #[tokio::test]
    async fn without_a_connection_nothing_was_sent() {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for url in [format!("http://{gone}"), format!("https://{gone}"), "http://nowhere.invalid".to_owned()] {
            let error = sent_to(&url).await;
            assert!(matches!(error, ApplyError::NoEffect { class: ErrorClass::Transient, .. }), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn a_handshake_that_is_cut_had_no_request() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let server = async {
            let (mut stream, _) = listener.accept().await?;
            stream.read(&mut [0; 1024]).await.map(drop)
        };
        let (error, served): (ApplyError, io::Result<()>) = tokio::join!(sent_to(&url), server);
        served.unwrap();
        assert!(matches!(error, ApplyError::NoEffect { class: ErrorClass::Transient, .. }), "{error}");
    }

    /// No packet comes back: the connection times out, in virtual time.
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_times_out_had_no_request() {
        let error = sent_to("http://192.0.2.1:9").await;
        assert!(matches!(error, ApplyError::NoEffect { class: ErrorClass::Transient, .. }), "{error}");
    }
}
