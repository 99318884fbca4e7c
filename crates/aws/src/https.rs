//! The HTTP client of all AWS calls: the SDK's own connection pool, made here so that the account's budget can stand before
//! it, and so that its sockets have TCP keep-alive.

use std::{sync::Arc, time::Duration};

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
use aws_smithy_types::body::SdkBody;
use belay_ports::near::{self, Nearness, PROXY_VARIABLES};
use http::Uri;
use http_body_util::Limited;
use tokio::runtime::Handle;

use crate::detours;

/// A NAT gateway or a VPC endpoint drops a connection that is silent for 350 s, and a Lambda function may take 15 minutes to
/// answer. AWS's other SDKs keep the connections of their Lambda clients alive for the same reason.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(60);

/// No answer of AWS is nearly as large: a page of 500 metrics takes about 5 MiB. What goes on longer is an error of the call.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Over rustls with the system's certificates, and the proxies that `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`
/// name. Its connections live as long as the runtime that it is made in.
///
/// Loopback and link-local hosts are never reached through a proxy: they have the credentials of the instance, the container
/// or the pod, in clear.
///
/// Hosts that are far are reached over TLS alone, but for those of `plain_http`.
pub(crate) fn client(plain_http: &[String]) -> SharedHttpClient {
    let is_proxied = PROXY_VARIABLES.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    client_over(is_proxied.then(ProxyConfig::from_env), plain_http)
}

fn client_over(proxies: Option<ProxyConfig>, plain_http: &[String]) -> SharedHttpClient {
    let direct = pool(ProxyConfig::disabled());
    let far = proxies.map_or_else(|| direct.clone(), pool);
    SharedHttpClient::new(Client { direct, far, plain_http: plain_http.into() })
}

fn pool(proxies: ProxyConfig) -> pool::Client {
    let only = PartitionId::from_index(0);
    let runtime = Handle::current();
    let connections = Partition::new(only, DriverSpawner::from_fn(move |task| drop(runtime.spawn(task))));
    let pool = ConnectionPool::builder()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .proxy_config(proxies)
        .tcp_keepalive(KEEP_ALIVE_AFTER)
        .partitions([connections])
        .build_https()
        .expect("the SDK brings a timer, and there is one partition");
    pool::Client::from_partition(&pool, only).expect("the pool has this partition")
}

/// The pools' client; its errors show whether there was a connection at all.
#[derive(Debug)]
struct Client {
    direct: pool::Client,
    /// To everything that is not near; through a proxy, if there is one.
    far: pool::Client,
    plain_http: Arc<[String]>,
}

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            direct: self.direct.http_connector(settings, components),
            far: self.far.http_connector(settings, components),
            // Only with a time-out of its own may an answer be late without the pool naming the connection.
            waits: settings.read_timeout().is_none(),
            plain_http: self.plain_http.clone(),
        })
    }
}

#[derive(Debug)]
struct Connector {
    direct: SharedHttpConnector,
    far: SharedHttpConnector,
    /// It waits for an answer as long as the caller does.
    waits: bool,
    plain_http: Arc<[String]>,
}

/// There was no connection, so no byte of the request was sent.
#[derive(Debug, thiserror::Error)]
#[error("no connection")]
pub(crate) struct NotConnected(#[source] ConnectorError);

/// What is signed could be read and changed on the way, so it is not sent.
#[derive(Debug, thiserror::Error)]
#[error(
    "{host} would be reached over plain HTTP: nothing was sent; give its endpoint an https URL, or name the host under `plain_http` \
     in the daemon's configuration"
)]
pub(crate) struct Unencrypted {
    host: String,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if let Some(host) = detours::unencrypted(request.uri(), &self.plain_http) {
            let error = ConnectorError::user(Unencrypted { host }.into());
            return HttpConnectorFuture::ready(Err(error.never_connected()));
        }
        let inner = if is_near(request.uri()) { &self.direct } else { &self.far };
        let (answer, waits) = (inner.call(request), self.waits);
        HttpConnectorFuture::new(async move {
            let answer = answer.await.map_err(|error| told(error, waits))?;
            Ok(answer.map(|body| SdkBody::from_body_1_x(Limited::new(body, ANSWER_BYTES_MAX))))
        })
    }
}

/// A URI that cannot be understood goes nowhere.
fn is_near(uri: &str) -> bool {
    let uri = uri.parse::<Uri>().ok();
    uri.and_then(|uri| uri.host().map(|host| near::nearness(host) != Nearness::Far)).unwrap_or(false)
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
    use std::{io, sync::atomic::Ordering};

    use aws_config::{BehaviorVersion, Region, retry::RetryConfig};
    use aws_credential_types::Credentials;
    use belay_core::input::ErrorClass;
    use belay_plan::model::AwsTarget;
    use belay_ports::ApplyError;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::{
        errors,
        session::Access,
        testing::{Endpoint, aws_at, endpoint, http},
    };

    /// What a write to this address comes to.
    async fn sent_to(url: &str) -> ApplyError {
        let clients = aws_at(Access::ReadWrite, url).await.clients(&AwsTarget::default()).await.unwrap();
        let sent = clients.elbv2.write.modify_rule().rule_arn("arn").send().await;
        errors::apply(sent.unwrap_err(), "elasticloadbalancing:ModifyRule", "a rule")
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
        for url in [format!("http://{gone}"), format!("https://{gone}"), "https://nowhere.invalid".to_owned()] {
            let error = sent_to(&url).await;
            assert!(matches!(error, ApplyError::NoEffect { class: ErrorClass::Transient, .. }), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn nothing_is_sent_unencrypted_to_another_host() {
        let error = sent_to("http://sts.example.com").await;
        assert!(matches!(error, ApplyError::NoEffect { class: ErrorClass::Permanent, .. }), "{error:?}");
        let told = error.to_string();
        assert!(
            told.contains("sts.example.com would be reached over plain HTTP") && told.contains("`plain_http`"),
            "{told}"
        );
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

    async fn asks(client: SharedHttpClient, url: &str) {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .empty_test_environment()
            .http_client(client)
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .endpoint_url(url);
        let answer = aws_sdk_sts::Client::new(&config.load().await).get_caller_identity().send().await;
        assert!(answer.is_err(), "nobody here answers");
    }

    #[tokio::test]
    async fn what_is_near_is_reached_past_a_proxy() {
        let (proxy, near) = (endpoint(http("400 Bad Request", "")).await, endpoint(http("400 Bad Request", "")).await);
        let count = |endpoint: &Endpoint| endpoint.connections.load(Ordering::SeqCst);
        let client = client_over(Some(ProxyConfig::all(proxy.url()).unwrap()), &["sts.example.com".to_owned()]);
        let port = near.url().rsplit(':').next().unwrap().to_owned();
        asks(client.clone(), near.url()).await;
        asks(client.clone(), &format!("http://localhost:{port}")).await;
        assert_eq!((count(&proxy), count(&near)), (0, 2));
        asks(client, "http://sts.example.com").await;
        assert_eq!(count(&proxy), 1);
    }

    /// Instance metadata is not there, and no proxy is asked instead. In virtual time.
    #[tokio::test(start_paused = true)]
    async fn no_proxy_answers_for_instance_metadata() {
        let proxy = endpoint(http("200 OK", "token")).await;
        for url in ["http://169.254.169.254", "http://169.254.170.2", "http://[fd00:ec2::254]"] {
            asks(client_over(Some(ProxyConfig::all(proxy.url()).unwrap()), &[]), url).await;
        }
        assert_eq!(proxy.connections.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn an_answer_without_an_end_is_cut_off() {
        let answer = http("200 OK", &"x".repeat(ANSWER_BYTES_MAX + 1));
        let endpoint = endpoint(answer).await;
        let clients = aws_at(Access::ReadWrite, endpoint.url()).await.clients(&AwsTarget::default()).await.unwrap();
        let sent = clients.elbv2.write.modify_rule().rule_arn("arn").send().await;
        let error = errors::apply(sent.unwrap_err(), "elasticloadbalancing:ModifyRule", "a rule");
        assert!(matches!(error, ApplyError::OutcomeUnknown { .. }), "{error}");
        assert!(error.to_string().contains("length limit"), "{error}");
    }

    /// No packet comes back: the connection times out, in virtual time.
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_times_out_had_no_request() {
        let error = sent_to("https://192.0.2.1:9").await;
        assert!(matches!(error, ApplyError::NoEffect { class: ErrorClass::Transient, .. }), "{error}");
    }
}
