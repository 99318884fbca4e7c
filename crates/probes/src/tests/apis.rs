//! `body_json` and `prometheus`.

use super::*;

#[tokio::test]
async fn values_of_a_json_body_are_compared() {
    let mut tasks = JoinSet::new();
    let body = json!({ "queue": { "depth": 7 }, "state": "up", "ready": true }).to_string();
    let address = page(&mut tasks, answer("200 OK", &body)).await;
    let of = |body_json: Value| json!({ "http": { "url": format!("http://{address}/"), "status": 200, "timeout": "5s", "body_json": body_json } });
    let good = json!({ "$.queue.depth": "< 100", "$.state": "== \"up\"", "$.ready": true });
    let reading = read(of(good)).await;
    assert_eq!(reading.health, Health::Healthy);
    let told = "answered 200 in 0 ms, and $.queue.depth is 7, and $.state is \"up\", and $.ready is true";
    assert!(reading.evidence.ends_with(told), "{}", reading.evidence);
    let reading = read(of(json!({ "$.queue.depth": "> 7" }))).await;
    assert_eq!(reading.health, Health::Unhealthy);
    assert!(reading.evidence.ends_with("but $.queue.depth is 7, wanted > 7"), "{}", reading.evidence);
    let reading = read(of(json!({ "$.queue.length": "> 7" }))).await;
    assert_eq!(reading.health, Health::Unhealthy);
    assert!(reading.evidence.ends_with("but its body has no $.queue.length, wanted > 7"), "{}", reading.evidence);
}

#[tokio::test]
async fn a_body_that_is_no_json_is_not_healthy_and_one_that_is_cut_decides_nothing() {
    let mut tasks = JoinSet::new();
    let html = page(&mut tasks, answer("200 OK", "<html>")).await;
    let long = page(&mut tasks, answer("200 OK", &format!("[{}1]", "1,".repeat(64 * 1024)))).await;
    for (address, health, why) in [
        (html, Health::Unhealthy, "but its body is no JSON: expected value at line 1 column 1"),
        (long, Health::Unknown, "but its body has 64 KiB or more: too long for `body_json`"),
    ] {
        let url = format!("http://{address}/");
        let reading =
            read(json!({ "http": { "url": url, "status": 200, "timeout": "5s", "body_json": { "$[0]": "== 1" } } }))
                .await;
        assert_eq!((reading.health, reading.unreadable), (health, false));
        assert!(reading.evidence.ends_with(why), "{}", reading.evidence);
    }
}

fn prometheus(address: SocketAddr, more: Value) -> Value {
    let mut asked = json!({ "url": format!("http://{address}/prom/"), "query": "sum(a{b=\"c\"})", "timeout": "5s" });
    asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "prometheus": asked, "healthy": "< 0.5" })
}

#[tokio::test]
async fn prometheus_is_asked_by_its_api() {
    let mut tasks = JoinSet::new();
    let body = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"0.25"]}]}}"#;
    let (address, mut requests) = pages::recorder(&mut tasks, answer("200 OK", body)).await;
    let reading = read(prometheus(address, json!({ "headers": { "Authorization": "env:HOME" } }))).await;
    assert_eq!(reading.evidence, "the query yields 0.25, which is < 0.5");
    assert_eq!((reading.health, reading.source), (Health::Healthy, format!("Prometheus at {address}")));
    let request = requests.recv().await.unwrap();
    assert!(request.starts_with("post /prom/api/v1/query http/1.1\r\n"), "{request}");
    let home = std::env::var("HOME").unwrap().to_lowercase();
    assert!(request.contains(&format!("authorization: {home}\r\n")), "{request}");
    assert!(request.ends_with("\r\n\r\nquery=sum%28a%7bb%3d%22c%22%7d%29&timeout=5s"), "{request}");
}

#[tokio::test]
async fn a_prometheus_that_is_away_is_a_blind_watcher() {
    let mut tasks = JoinSet::new();
    let proxy = page(&mut tasks, answer("502 Bad Gateway", "<html>")).await;
    let denied = page(&mut tasks, answer("401 Unauthorized", "")).await;
    for (address, why) in [(closed().await, "was not answered"), (proxy, "answered 502"), (denied, "answered 401")] {
        let reading = read(prometheus(address, json!({}))).await;
        assert_eq!((reading.health, reading.unreadable), (Health::Unknown, true));
        assert!(reading.evidence.contains(why), "{}", reading.evidence);
    }
}
