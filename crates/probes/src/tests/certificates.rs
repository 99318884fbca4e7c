//! TLS of a service whose certificate the test makes.

use belay_local::secrets::Secrets;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig, crypto,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{http::Http, tcp::Tcp, tls::Tls};

/// The test's clock stands at 2026-03-01.
const YEARS: (i32, i32) = (2020, 2126);

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        Self::named("Test CA")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn root(&self) -> CertificateDer<'static> {
        self.0.as_ref().der().clone()
    }

    fn acceptor(&self, name: &str, (from, until): (i32, i32)) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &*self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// Answers every request over TLS, and who only shakes hands as well.
    async fn page(&self, tasks: &mut JoinSet<()>, name: &str, years: (i32, i32)) -> SocketAddr {
        let acceptor = self.acceptor(name, years);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // A visitor who refuses the certificate hangs up.
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer("200 OK", "ok").as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        address
    }

    fn trusted(&self) -> Arc<Tls> {
        Arc::new(Tls::trusting(vec![self.root()]))
    }
}

async fn read_over(tls: Arc<Tls>, spec: Value) -> (Health, bool, String) {
    let clock = Arc::new(Still::default());
    let sensor: Arc<dyn belay_ports::Sensor> = match spec["tcp"].is_null() {
        true => Arc::new(Http::new(clock, tls, Secrets::default())),
        false => Arc::new(Tcp::new(clock, tls)),
    };
    let reading = sensor.read(&[query(spec)]).await.remove(0);
    (reading.health, reading.unreadable, reading.evidence)
}

fn shop(address: SocketAddr, days_left: &str) -> Value {
    json!({ "http": {
        "url": "https://shop.test/health", "connect_to": address.to_string(), "status": 200, "timeout": "5s",
        "certificate_days_left": days_left,
    } })
}

fn port(address: SocketAddr, server_name: &str, days_left: &str) -> Value {
    let tls = json!({ "server_name": server_name, "certificate_days_left": days_left });
    json!({ "tcp": { "address": address.to_string(), "timeout": "5s", "tls": tls } })
}

#[tokio::test]
async fn a_certificate_is_verified_and_its_end_told() {
    let (mut tasks, authority) = (JoinSet::new(), Authority::new());
    let address = authority.page(&mut tasks, "shop.test", YEARS).await;
    let end = "its certificate is valid until 2126-01-01 (36464 days)";
    let (health, _, evidence) = read_over(authority.trusted(), shop(address, ">= 14")).await;
    let asked = format!("GET https://shop.test/health at {address}");
    assert_eq!((health, evidence), (Health::Healthy, format!("{asked} answered 200 in 0 ms, and {end}")));
    let (health, _, evidence) = read_over(authority.trusted(), shop(address, ">= 40000")).await;
    let short = format!("{asked} answered 200 in 0 ms, but {end}, wanted at least 40000 days");
    assert_eq!((health, evidence), (Health::Unhealthy, short));

    let (health, _, evidence) = read_over(authority.trusted(), port(address, "shop.test", ">= 14")).await;
    let told = format!("{address} accepted a connection with TLS in 0 ms, and {end}");
    assert_eq!((health, evidence), (Health::Healthy, told));
    let (health, _, evidence) = read_over(authority.trusted(), port(address, "shop.test", ">= 40000")).await;
    assert_eq!(health, Health::Unhealthy, "{evidence}");
}

#[tokio::test]
async fn a_certificate_that_visitors_refuse_is_unhealthy() {
    let (mut tasks, authority) = (JoinSet::new(), Authority::new());
    let expired = authority.page(&mut tasks, "shop.test", (2020, 2021)).await;
    let other = authority.page(&mut tasks, "old.test", YEARS).await;
    for (address, why) in [
        (expired, "its certificate has expired on 2021-01-01"),
        (other, "its certificate is for old.test, not for shop.test"),
    ] {
        for spec in [shop(address, ">= 1"), port(address, "shop.test", ">= 1")] {
            let (health, unreadable, evidence) = read_over(authority.trusted(), spec).await;
            assert_eq!((health, unreadable), (Health::Unhealthy, false), "{evidence}");
            assert!(evidence.ends_with(why), "{evidence}");
        }
    }
}

#[tokio::test]
async fn an_issuer_that_this_host_does_not_trust_leaves_it_unknown() {
    let (mut tasks, authority) = (JoinSet::new(), Authority::new());
    let address = authority.page(&mut tasks, "shop.test", YEARS).await;
    for spec in [shop(address, ">= 1"), port(address, "shop.test", ">= 1")] {
        let (health, unreadable, evidence) = read_over(Authority::named("Another CA").trusted(), spec).await;
        assert_eq!((health, unreadable), (Health::Unknown, true), "{evidence}");
        assert!(evidence.contains("this host does not trust the issuer of its certificate"), "{evidence}");
    }
}

#[tokio::test]
async fn a_port_without_tls_is_no_port_with_tls() {
    let mut tasks = JoinSet::new();
    let plain = page(&mut tasks, answer("400 Bad Request", "")).await;
    let spec = json!({ "tcp": { "address": plain.to_string(), "timeout": "5s", "tls": true } });
    let (health, _, evidence) = read_over(Authority::new().trusted(), spec).await;
    assert_ne!(health, Health::Healthy);
    assert!(evidence.contains("gave no TLS connection"), "{evidence}");
}
