//! Databases that do not answer, and plans. Real servers answer in the tests of the whole: `tests/tests/e2e/data`.

use std::io::Write as _;

use belay_core::reading::Health;
use belay_local::permit::{Gate, Permits, SecretPermit};
use belay_plan::{catalogue::Finding, model::AwsTarget};
use belay_ports::Sensors;
use jiff::Timestamp;
use serde_json::json;
use tempfile::{NamedTempFile, TempPath};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Notify,
};

use super::*;
use crate::Probes;

/// Stands still. Its sleeps end when the test says so.
#[derive(Default)]
struct Still(Notify);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        "2026-03-01T02:11:07Z".parse().unwrap()
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::from_secs(7)
    }

    fn sleep<'a>(&'a self, _time: std::time::Duration) -> Fut<'a, ()> {
        Box::pin(self.0.notified())
    }
}

async fn read_by(clock: Arc<Still>, gate: Gate, spec: Value) -> Reading {
    let kind = if spec[KEY].is_object() { KEY } else { DIFFERENCE_KEY };
    let sensor = Probes::new(clock, gate).sensor(kind).unwrap();
    let query = Query {
        signal: "orphans".to_owned(),
        spec,
        aws: AwsTarget::default(),
        of_trigger: false,
        baseline: Arc::default(),
    };
    sensor.read(&[query]).await.remove(0)
}

async fn read(spec: Value) -> Reading {
    read_by(Arc::default(), Gate::default(), spec).await
}

fn sql(url: &str) -> Value {
    json!({ "sql": { "url": url, "query": "select 1", "timeout": "5s" }, "healthy": "== 0" })
}

/// A file with a secret in it, as long as it is kept, and the reference to it.
fn secret(text: &str) -> (TempPath, String) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.into_temp_path();
    let reference = format!("file:{}", path.display());
    (path, reference)
}

#[tokio::test]
async fn a_database_that_is_away_is_unknown() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for system in ["postgres", "mysql"] {
        let reading = read(sql(&format!("{system}://belay@{closed}/shop"))).await;
        assert_eq!((reading.health, reading.unreadable), (Health::Unknown, false), "{}", reading.evidence);
        assert!(reading.evidence.starts_with(&format!("{closed}/shop: ")), "{}", reading.evidence);
        assert!(reading.evidence.contains("refused"), "{}", reading.evidence);
    }
}

#[tokio::test]
async fn a_server_that_is_silent_or_of_another_kind_is_unknown() {
    for system in ["postgres", "mysql"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let clock = Arc::new(Still::default());
        let silent = async {
            let (_stream, _) = listener.accept().await.unwrap();
            tokio::task::yield_now().await;
            clock.0.notify_waiters();
            std::future::pending::<()>().await;
        };
        let reading = read_by(Arc::clone(&clock), Gate::default(), sql(&format!("{system}://belay@{address}/shop")));
        let reading = tokio::select! { reading = reading => reading, () = silent => unreachable!() };
        assert_eq!(reading.health, Health::Unknown);
        assert_eq!(reading.evidence, format!("{address}/shop did not answer within 5s"));

        let web = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
            std::future::pending::<()>().await;
        };
        let reading = read(sql(&format!("{system}://belay@{address}/shop")));
        let reading = tokio::select! { reading = reading => reading, () = web => unreachable!() };
        assert_eq!(reading.health, Health::Unknown, "{}", reading.evidence);
    }
}

#[tokio::test]
async fn no_secret_is_in_any_evidence() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let urls = [
        format!("postgres://belay:s3cret@{closed}/shop"),
        format!("mysql://belay:s3cret@{closed}/shop"),
        "postgres://belay:s3cret@nowhere.invalid/shop".to_owned(),
        format!("postgres://belay:s3cret@{closed}/shop?sslmode=s3cret"),
        "https://hooks.test/s3cret".to_owned(),
        "s3cret".to_owned(),
        format!("mysql://belay:s3cret@{closed}/shop?sslrootcert=/nowhere"),
    ];
    for url in urls {
        let (_kept, url) = secret(&url);
        let reading = read(sql(&url)).await;
        assert_eq!(reading.health, Health::Unknown);
        assert!(!reading.evidence.contains("s3cret"), "{url}: {}", reading.evidence);
    }
}

#[tokio::test]
async fn a_secret_goes_to_the_hosts_that_are_listed_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_kept, url) = secret(&format!("postgres://belay:s3cret@{}/shop", listener.local_addr().unwrap()));
    let listed = |host: &str| {
        let permit = SecretPermit { secret: Reference::parse(&url).unwrap(), hosts: vec![host.to_owned()] };
        Gate::new(Permits { secrets: Some(vec![permit]), ..Permits::default() })
    };
    let reading = read_by(Arc::default(), listed("db.test"), sql(&url)).await;
    assert_eq!((reading.health, reading.unreadable), (Health::Unknown, true));
    assert!(reading.evidence.contains("to 127.0.0.1, which is not permitted"), "{}", reading.evidence);
    let none = Gate::new(Permits { secrets: Some(Vec::new()), ..Permits::default() });
    let reading = read_by(Arc::default(), none, sql(&url)).await;
    assert!(reading.evidence.contains("orphans opens the database of file:"), "{}", reading.evidence);
}

/// What was restored answers elsewhere; the host of the plan gets nothing, and what is listed counts for the other one.
#[tokio::test]
async fn a_query_is_redirected_to_another_host_and_asks_only_that() {
    let production = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let restored = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_kept, url) =
        secret(&format!("postgres://belay:s3cret@localhost:{}/shop", production.local_addr().unwrap().port()));
    let to = Endpoint { host: "127.0.0.1".to_owned(), port: Some(restored.local_addr().unwrap().port()) };
    let redirected = |gate: Gate, kind: &str, spec: Value| {
        let sensor = Probes::new(Arc::<Still>::default(), gate).sensor(kind).unwrap();
        let query = Query {
            signal: "orphans".to_owned(),
            spec,
            aws: AwsTarget::default(),
            baseline: Arc::default(),
            of_trigger: false,
        };
        let query = sensor.redirected(&query, &to)?;
        Ok::<_, String>((sensor, query))
    };
    let (sensor, query) = redirected(Gate::default(), KEY, sql(&url)).unwrap();
    let queries = [query];
    tokio::select! {
        _ = production.accept() => panic!("production was asked"),
        asked = restored.accept() => drop(asked.unwrap()),
        readings = sensor.read(&queries) => panic!("nobody was asked: {readings:?}"),
    }

    let permit = SecretPermit { secret: Reference::parse(&url).unwrap(), hosts: vec!["localhost".to_owned()] };
    let gate = Gate::new(Permits { secrets: Some(vec![permit]), ..Permits::default() });
    let (sensor, query) = redirected(gate, KEY, sql(&url)).unwrap();
    let reading = sensor.read(&[query]).await.remove(0);
    assert!(reading.evidence.contains("to 127.0.0.1, which is not permitted"), "{}", reading.evidence);

    let difference = json!({ "sql_difference": { "left": "env:A", "right": "env:B", "query": "select 1" } });
    let why = redirected(Gate::default(), DIFFERENCE_KEY, difference).err().expect("which side is restored?");
    assert!(why.contains("two databases"), "{why}");
}

fn found(spec: &belay_plan::catalogue::SignalSpec, entry: &Value) -> Vec<String> {
    (spec.check)(entry).into_iter().map(|Finding { pointer, message, .. }| format!("{pointer}: {message}")).collect()
}

#[test]
fn what_cannot_work_is_found_in_the_plan() {
    let sql = |url: &str, password: Option<&str>| {
        let mut entry = sql(url);
        if let Some(password) = password {
            entry["sql"]["password"] = json!(password);
        }
        found(&signal_spec(), &entry)
    };
    for (url, password, place, why) in [
        ("postgres://u:s3cret@db.test/d", None, "/sql/url", "a password in a URL is a secret"),
        ("postgres://db.test/d", None, "/sql/url", "the URL has no user"),
        ("env:AWS_SECRET_ACCESS_KEY", None, "/sql/url", "Belay's own"),
        ("env:DB", Some("env:DB_PASSWORD"), "/sql/password", "the URL is a secret"),
        ("mysql://u@db.test/d", Some("env:BELAY_TOKEN"), "/sql/password", "Belay's own"),
        ("mysql://u@169.254.169.254/d", None, "/sql/url", "link-local"),
        ("mysql://u@db.test/d?sslmode=prefer", None, "/sql/url", "sslmode is"),
    ] {
        let found = sql(url, password);
        assert!(matches!(&found[..], [one] if one.starts_with(place) && one.contains(why)), "{url}: {found:?}");
        assert!(!found[0].contains("s3cret"), "{found:?}");
    }
    assert_eq!(sql("env:ORDERS_DB", None), [""; 0]);
    assert_eq!(sql("postgres://u@db.test/d?sslmode=verify-full", Some("env:DB_PASSWORD")), [""; 0]);

    let between = |left: Value, right: Value, healthy: &str| {
        let sides = json!({ "left": left, "right": right, "query": "select 1", "timeout": "5s" });
        found(&difference_spec(), &json!({ "sql_difference": sides, "healthy": healthy }))
    };
    let parts = json!({ "url": "mysql://u:s3cret@db.test/d" });
    let wrong = between(json!("env:A"), parts, "== 0");
    assert!(wrong[0].starts_with("/sql_difference/right/url: a password"), "{wrong:?}");
    let wrong = between(json!("env:A"), json!("env:A"), "== 0");
    assert!(wrong[0].contains("the left database once more"), "{wrong:?}");
    assert!(between(json!("env:A"), json!("env:B"), "< 0")[0].starts_with("/healthy: "));
    assert_eq!(between(json!("env:A"), json!("env:B"), "<= 0.1%"), [""; 0]);
}
