//! `dns` against servers of the test.

use tokio::net::UdpSocket;

use super::*;
use crate::dns::Dns;

const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;

const REFUSED: u8 = 5;
const NXDOMAIN: u8 = 3;
const SERVFAIL: u8 = 2;

/// A response code, and records of the question's name.
type Zone = (u8, Vec<(u16, Vec<u8>)>);

/// A DNS server that answers what `zone` says to a name, a type and the number of questions before.
async fn serve(
    tasks: &mut JoinSet<()>,
    address: SocketAddr,
    zone: impl Fn(&str, u16, usize) -> Zone + Send + 'static,
) -> SocketAddr {
    let socket = UdpSocket::bind(address).await.unwrap();
    let address = socket.local_addr().unwrap();
    tasks.spawn(async move {
        let mut packet = [0; 512];
        let mut asked = 0;
        loop {
            let (size, from) = socket.recv_from(&mut packet).await.unwrap();
            let name_end = 12 + packet[12..size].iter().position(|byte| *byte == 0).unwrap() + 1;
            let kind = u16::from_be_bytes([packet[name_end], packet[name_end + 1]]);
            let (code, records) = zone(&name(&packet[12..name_end]), kind, asked);
            asked += 1;
            // An answer, recursion available; one question, the answers, nothing else.
            let mut reply = packet[..2].to_vec();
            reply.extend([0x81, 0x80 | code, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]);
            reply.extend(&packet[12..name_end + 4]);
            for (kind, data) in records {
                // The question's name, class IN, 60 s.
                reply.extend([0xc0, 12]);
                reply.extend(kind.to_be_bytes());
                reply.extend([0, 1, 0, 0, 0, 60]);
                reply.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
                reply.extend(data);
            }
            socket.send_to(&reply, from).await.unwrap();
        }
    });
    address
}

fn name(labels: &[u8]) -> String {
    let (mut name, mut rest) = (String::new(), labels);
    while let Some((length, after)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let (label, after) = after.split_at(usize::from(*length));
        name = format!("{name}{}.", String::from_utf8_lossy(label).to_lowercase());
        rest = after;
    }
    name
}

fn labels(name: &str) -> Vec<u8> {
    let label = |label: &str| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat();
    [name.split('.').flat_map(label).collect(), vec![0]].concat()
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// One record, and other names that are answered in other ways.
async fn name_server(tasks: &mut JoinSet<()>) -> SocketAddr {
    let zone = |name: &str, kind: u16, _| match name.split('.').next().unwrap() {
        "www" if kind == A => (0, vec![(A, vec![192, 0, 2, 10])]),
        "empty" => (0, Vec::new()),
        "broken" => (SERVFAIL, Vec::new()),
        _ => (NXDOMAIN, Vec::new()),
    };
    serve(tasks, any_port(), zone).await
}

#[tokio::test]
async fn dns_compares_the_answers() {
    let mut tasks = JoinSet::new();
    let server = name_server(&mut tasks).await;
    let cases = [
        ("www", "192.0.2.10", Health::Healthy, "is 192.0.2.10"),
        ("www", "192.0.2.11", Health::Unhealthy, "is 192.0.2.10, wanted any of 192.0.2.11"),
        ("empty", "192.0.2.10", Health::Unhealthy, "has no such record, wanted any of 192.0.2.10"),
        ("gone", "192.0.2.10", Health::Unhealthy, "does not exist (NXDOMAIN), wanted any of 192.0.2.10"),
    ];
    for (label, wanted, health, evidence) in cases {
        let name = format!("{label}.example.test");
        let reading = read(
            json!({ "dns": { "name": name, "type": "A", "answers_any": [wanted], "server": server.to_string() } }),
        )
        .await;
        assert_eq!(reading.evidence, format!("{name} A at {server} {evidence}"));
        assert_eq!((reading.health, reading.unreadable), (health, false));
    }
    let reading = read(json!({ "dns": {
        "name": "broken.example.test", "type": "A", "answers_any": ["192.0.2.10"], "server": server.to_string()
    } }))
    .await;
    assert_eq!((reading.health, reading.unreadable), (Health::Unknown, false), "{}", reading.evidence);
}

#[tokio::test]
async fn a_dns_server_that_does_not_answer_is_unknown() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    let clock = Arc::new(Still::default());
    let reading = read_with(
        Arc::clone(&clock),
        json!({ "dns": { "name": "www.test", "type": "A", "answers_any": ["192.0.2.1"], "server": server.to_string() } }),
    );
    let silent_server = async {
        socket.recv_from(&mut [0; 512]).await.unwrap();
        clock.time_is_up.notify_waiters();
        pending::<()>().await;
    };
    let reading = tokio::select! { reading = reading => reading, () = silent_server => unreachable!() };
    assert_eq!((reading.health, reading.unreadable), (Health::Unknown, true));
    assert_eq!(reading.evidence, format!("www.test A at {server} was not answered within 5s"));
}

#[tokio::test]
async fn weighted_answers_are_sampled() {
    let mut tasks = JoinSet::new();
    let zone = |_: &str, _, asked: usize| (0, vec![(A, vec![192, 0, 2, if asked % 10 == 9 { 20 } else { 10 }])]);
    let server = serve(&mut tasks, any_port(), zone).await;
    let sampled = |share: &str| {
        let answers = json!({ "192.0.2.10": share });
        json!({ "dns": { "name": "www.test", "type": "A", "answers": answers, "server": server.to_string() } })
    };
    let reading = read(sampled(">= 90%")).await;
    assert_eq!(reading.health, Health::Healthy);
    assert_eq!(reading.evidence, "www.test A: 192.0.2.10 in 18 of 20 answers (90%, wanted >= 90%), 192.0.2.20 in 2");
    assert_eq!(read(sampled("> 95%")).await.health, Health::Unhealthy);
}

/// `shop.test`, whose two name servers answer what the test says. The host's resolver knows who they are.
async fn authoritative(answers: [Zone; 2], spec: Value) -> Reading {
    let mut tasks = JoinSet::new();
    let system = |name: &str, kind: u16, _| match (name, kind) {
        ("shop.test.", NS) => (0, vec![(NS, labels("ns1.shop.test")), (NS, labels("ns2.shop.test"))]),
        ("ns1.shop.test.", A) => (0, vec![(A, vec![127, 0, 0, 1])]),
        ("ns2.shop.test.", A) => (0, vec![(A, vec![127, 0, 0, 2])]),
        // A cache that is out of date.
        ("www.shop.test.", A) => (0, vec![(A, vec![192, 0, 2, 99])]),
        _ => (0, Vec::new()),
    };
    let system = serve(&mut tasks, any_port(), system).await;
    let [one, other] = answers;
    let answer = |zone: Zone| {
        move |_: &str, kind: u16, _| {
            let of_kind = zone.1.iter().filter(|(of, _)| *of == kind || *of == CNAME).cloned();
            (zone.0, of_kind.collect::<Vec<_>>())
        }
    };
    let first = serve(&mut tasks, any_port(), answer(one)).await;
    let second = SocketAddr::from(([127, 0, 0, 2], first.port()));
    serve(&mut tasks, second, answer(other)).await;
    let sensor = Dns::with_system(Arc::new(Still::default()), system, first.port());
    belay_ports::Sensor::read(&sensor, &[query(spec)]).await.remove(0)
}

fn at_the_source() -> Value {
    json!({ "dns": { "name": "www.shop.test", "type": "A", "answers_any": ["192.0.2.10"], "server": "authoritative" } })
}

#[tokio::test]
async fn all_name_servers_of_the_zone_have_to_agree() {
    let (old, new) = (|| (0, vec![(A, vec![192, 0, 2, 10])]), || (0, vec![(A, vec![192, 0, 2, 20])]));
    let reading = authoritative([old(), old()], at_the_source()).await;
    assert_eq!(reading.health, Health::Healthy);
    assert_eq!(reading.evidence, "www.shop.test A at ns1.shop.test is 192.0.2.10 (all 2 name servers, 2 answers)");
    let reading = authoritative([old(), new()], at_the_source()).await;
    assert_eq!((reading.health, reading.unreadable), (Health::Unhealthy, false));
    assert_eq!(
        reading.evidence,
        "www.shop.test A at ns2.shop.test is 192.0.2.20, wanted any of 192.0.2.10 (1 of 2 answers of 2 name servers)"
    );
    let reading = authoritative([old(), (REFUSED, Vec::new())], at_the_source()).await;
    assert_eq!((reading.health, reading.unreadable), (Health::Unknown, false), "{}", reading.evidence);
    assert!(
        reading.evidence.starts_with("www.shop.test A at ns2.shop.test was not answered: "),
        "{}",
        reading.evidence
    );
}

#[tokio::test]
async fn an_alias_into_another_zone_is_told() {
    let alias = || (0, vec![(CNAME, labels("shop.cdn.test"))]);
    let reading = authoritative([alias(), alias()], at_the_source()).await;
    assert_eq!(reading.health, Health::Unknown, "{}", reading.evidence);
    let spec = json!({ "dns": {
        "name": "www.shop.test", "type": "CNAME", "answers_all": ["shop.cdn.test"], "server": "authoritative"
    } });
    let reading = authoritative([alias(), alias()], spec).await;
    assert_eq!(reading.health, Health::Healthy, "{}", reading.evidence);
}

#[tokio::test]
async fn name_servers_that_are_not_found_leave_it_unknown() {
    let mut tasks = JoinSet::new();
    let system = serve(&mut tasks, any_port(), |_: &str, _, _| (NXDOMAIN, Vec::new())).await;
    let sensor = Dns::with_system(Arc::new(Still::default()), system, 53);
    let reading = belay_ports::Sensor::read(&sensor, &[query(at_the_source())]).await.remove(0);
    assert_eq!((reading.health, reading.unreadable), (Health::Unknown, true));
    assert!(reading.evidence.contains("no zone that it is in has name servers"), "{}", reading.evidence);
}

#[test]
fn a_plan_says_in_one_way_what_is_healthy() {
    let pointers = |dns: Value| {
        let findings = (crate::dns::signal_spec().check)(&json!({ "dns": dns }));
        findings.into_iter().map(|finding| finding.pointer).collect::<Vec<_>>()
    };
    assert_eq!(pointers(json!({"name": "a"})), ["/dns"]);
    assert_eq!(pointers(json!({"answers_any": ["a"], "answers": {"a": "> 5%"}})), ["/dns/answers"]);
    assert!(pointers(json!({"answers_all": ["a"], "samples": 3})).is_empty());
}
