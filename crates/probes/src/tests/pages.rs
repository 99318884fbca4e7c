//! What `http` sends, follows and looks at.

use tokio::sync::mpsc;

use super::*;

/// Answers every request with the same bytes, and hands on what it was sent.
pub(super) async fn recorder(tasks: &mut JoinSet<()>, answer: String) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = mpsc::unbounded_channel();
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let size = stream.read(&mut request).await.unwrap();
            sender.send(String::from_utf8_lossy(&request[..size]).to_lowercase()).unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, requests)
}

fn http(address: SocketAddr, more: Value) -> Value {
    let mut http = json!({ "url": format!("http://{address}/health"), "status": 200, "timeout": "5s" });
    http.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "http": http })
}

fn moved_to(address: &str) -> String {
    answer(&format!("302 Found\r\nLocation: {address}"), "")
}

#[tokio::test]
async fn redirects_are_followed_as_far_as_the_plan_says() {
    let mut tasks = JoinSet::new();
    let end = page(&mut tasks, answer("200 OK", "arrived")).await;
    let middle = page(&mut tasks, moved_to(&format!("http://{end}/end"))).await;
    let start = page(&mut tasks, moved_to(&format!("http://{middle}/middle"))).await;
    let reading = read(http(start, json!({ "redirects": "follow", "body_contains": "arrived" }))).await;
    assert_eq!(reading.health, Health::Healthy);
    assert_eq!(
        reading.evidence,
        format!(
            "GET http://{end}/end (redirected from http://{start}/health) answered 200 in 0 ms, and its body contains \
             `arrived`"
        )
    );
    let reading = read(http(start, json!({ "redirects": 1 }))).await;
    assert_eq!(reading.health, Health::Unhealthy);
    assert!(
        reading.evidence.ends_with("answered 302, after as many redirects as are followed (1)"),
        "{}",
        reading.evidence
    );
    let reading = read(http(start, json!({ "status": 302 }))).await;
    assert_eq!(reading.health, Health::Healthy, "{}", reading.evidence);
    let elsewhere = page(&mut tasks, moved_to("ftp://127.0.0.1/")).await;
    let reading = read(http(elsewhere, json!({ "redirects": "follow" }))).await;
    assert!(reading.evidence.contains("which is no http or https URL"), "{}", reading.evidence);
}

#[tokio::test]
async fn headers_and_body_are_matched() {
    let mut tasks = JoinSet::new();
    let page = page(&mut tasks, answer("200 OK\r\nX-Version: 2.4.1", "{\"status\": \"up\"}")).await;
    let good = json!({ "header_matches": { "x-version": "^2[.]" }, "body_matches": "\"status\": *\"(up|warm)\"" });
    let reading = read(http(page, good)).await;
    assert_eq!(reading.health, Health::Healthy, "{}", reading.evidence);
    let cases = [
        (
            json!({ "header_matches": { "X-Version": "^3[.]" } }),
            "its header X-Version is `2.4.1`, which does not match `^3[.]`",
        ),
        (json!({ "header_matches": { "X-Colour": "." } }), "it has no header X-Colour"),
        (json!({ "body_matches": "down$" }), "its body does not match `down$`"),
    ];
    for (more, why) in cases {
        let reading = read(http(page, more)).await;
        assert_eq!(reading.health, Health::Unhealthy);
        assert!(reading.evidence.ends_with(&format!(", but {why}")), "{}", reading.evidence);
    }
}

#[tokio::test]
async fn secrets_are_sent_to_the_first_host_only() {
    let mut tasks = JoinSet::new();
    let (end, mut at_end) = recorder(&mut tasks, answer("200 OK", "")).await;
    let (start, mut at_start) = recorder(&mut tasks, moved_to(&format!("http://{end}/"))).await;
    let file = std::env::temp_dir().join(format!("belay-probe-secret-{}", start.port()));
    std::fs::write(&file, "Bearer s3cret\n").unwrap();
    let headers = json!({ "Authorization": format!("file:{}", file.display()), "X-Probe": "belay" });
    let spec = http(start, json!({ "headers": headers, "method": "HEAD", "redirects": "follow" }));
    let reading = read(spec.clone()).await;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(reading.health, Health::Healthy, "{}", reading.evidence);
    let (first, second) = (at_start.recv().await.unwrap(), at_end.recv().await.unwrap());
    assert!(first.starts_with("head /health") && first.contains("authorization: bearer s3cret"), "{first}");
    assert!(first.contains("x-probe: belay") && second.contains("x-probe: belay"), "{second}");
    assert!(!second.contains("s3cret"), "{second}");
    let reading = read(spec).await;
    assert_eq!((reading.health, reading.unreadable), (Health::Unknown, true));
    assert!(
        reading.evidence.contains("was not sent: ") && reading.evidence.contains("cannot be read"),
        "{}",
        reading.evidence
    );
}

/// Pages for debugging and proxies repeat the headers of a request.
#[tokio::test]
async fn secrets_that_a_service_repeats_are_not_shown() {
    let mut tasks = JoinSet::new();
    let secret = "Basic dXNlcjpTRUNSRVRwdw==";
    let body = json!({ "seen": secret, "user": "user:SECRETpw", "error": "no SECRETpw here" }).to_string();
    let echo = page(&mut tasks, answer(&format!("200 OK\r\nX-Echo: {secret}"), &body)).await;
    let leading = page(&mut tasks, moved_to("http://elsewhere.test/?dXNlcjpTRUNSRVRwdw")).await;
    let refusal = json!({ "status": "error", "errorType": "bad_data", "error": format!("who is {secret}?") });
    let prometheus = page(&mut tasks, answer("400 Bad Request", &refusal.to_string())).await;
    let file = std::env::temp_dir().join(format!("belay-probe-echo-{}", echo.port()));
    std::fs::write(&file, secret).unwrap();
    let headers = json!({ "Authorization": format!("file:{}", file.display()) });
    let asked = |address, more: Value| {
        let mut spec = http(address, more);
        spec["http"]["headers"] = headers.clone();
        spec
    };
    let of_api = json!({ "url": format!("http://{prometheus}/"), "query": "a", "timeout": "5s", "headers": headers });
    for (spec, shown) in [
        (asked(echo, json!({ "header_matches": { "X-Echo": "^y$" } })), "its header X-Echo is `[masked]`, which"),
        (asked(echo, json!({ "body_json": { "$.seen": "!= \"x\"" } })), "$.seen is \"[masked]\""),
        (asked(echo, json!({ "body_json": { "$.user": "== \"x\"" } })), "$.user is \"[masked]\", wanted"),
        (asked(echo, json!({ "body_json": { "$.error": "== \"x\"" } })), "$.error is \"no [masked] here\""),
        (asked(leading, json!({ "redirects": "follow" })), "it leads to another host, http://elsewhere.test/?[masked]"),
        (json!({ "prometheus": of_api, "healthy": "< 1" }), "who is [masked]?"),
    ] {
        let reading = read(spec).await;
        assert!(reading.evidence.contains(shown), "{}", reading.evidence);
        assert!(!reading.evidence.contains("SECRETpw") && !reading.evidence.contains("dXNlcj"), "{}", reading.evidence);
    }
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn redirects_stay_on_the_host_unless_the_plan_lists_another_and_never_lead_to_credentials() {
    let mut tasks = JoinSet::new();
    let (end, mut at_end) = recorder(&mut tasks, answer("200 OK", "")).await;
    let (start, _at_start) = recorder(&mut tasks, moved_to(&format!("http://localhost:{}/", end.port()))).await;
    let reading = read(http(start, json!({ "redirects": "follow" }))).await;
    assert_eq!(reading.health, Health::Unhealthy);
    assert!(reading.evidence.contains("it leads to another host, http://localhost:"), "{}", reading.evidence);
    assert!(at_end.try_recv().is_err(), "it was not asked");
    let reading = read(http(start, json!({ "redirects": "follow", "redirect_hosts": ["localhost"] }))).await;
    assert_eq!(reading.health, Health::Healthy, "{}", reading.evidence);
    let (start, _at_start) = recorder(&mut tasks, moved_to("http://169.254.169.254/latest/meta-data/")).await;
    let allowed = json!({ "redirects": "follow", "redirect_hosts": ["169.254.169.254"] });
    let reading = read(http(start, allowed)).await;
    assert_eq!((reading.health, reading.unreadable), (Health::Unknown, true));
    assert!(reading.evidence.contains("169.254.169.254 is a link-local address"), "{}", reading.evidence);
}

#[tokio::test]
async fn a_secret_that_is_a_pipe_holds_nothing_up() {
    let mut tasks = JoinSet::new();
    let address = page(&mut tasks, answer("200 OK", "")).await;
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reading = read(http(address, json!({ "headers": { "X-Token": format!("file:{}", pipe.display()) } }))).await;
    assert_eq!((reading.health, reading.unreadable), (Health::Unknown, true));
    assert!(reading.evidence.ends_with("cannot be read: it is not a regular file"), "{}", reading.evidence);
}

#[tokio::test]
async fn a_destination_is_probed_before_its_name_points_at_it() {
    let mut tasks = JoinSet::new();
    let (destination, mut requests) = recorder(&mut tasks, answer("200 OK", "")).await;
    for (url, host) in [("http://shop.invalid/x", "shop.invalid"), ("http://shop.invalid:8080/x", "shop.invalid:8080")]
    {
        let spec = json!({ "http": {
            "url": url, "connect_to": destination.to_string(), "status": 200, "timeout": "5s"
        } });
        let reading = read(spec).await;
        assert_eq!(reading.health, Health::Healthy, "{}", reading.evidence);
        assert!(reading.evidence.starts_with(&format!("GET {url} at {destination} answered")), "{}", reading.evidence);
        let request = requests.recv().await.unwrap();
        assert!(request.contains(&format!("host: {host}\r\n")), "{request}");
    }
}

#[test]
fn what_cannot_work_is_found_in_the_plan() {
    let pointers = |more: Value| {
        let mut http = json!({ "url": "https://shop.test/", "method": "GET", "timeout": "5s" });
        http.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let findings = (crate::http::signal_spec().check)(&json!({ "http": http }));
        findings.into_iter().map(|finding| finding.pointer).collect::<Vec<_>>()
    };
    let cases = [
        (json!({ "within": "2s", "certificate_days_left": ">= 1", "connect_to": "green:443" }), ""),
        (json!({ "headers": { "Authorization": "env:TOKEN", "Accept": "text/html" } }), ""),
        (json!({ "headers": { "AUTHORIZATION": "Bearer abc" } }), "/http/headers/AUTHORIZATION"),
        (json!({ "within": "6s" }), "/http/within"),
        (json!({ "body_matches": "(" }), "/http/body_matches"),
        (json!({ "header_matches": { "X-A": "[" } }), "/http/header_matches/X-A"),
        (json!({ "body_matches": "(a{1,99}){1,99}" }), "/http/body_matches"),
        (json!({ "header_matches": { "X-A": "((x*y*){50}){50}" } }), "/http/header_matches/X-A"),
        (
            json!({ "body_matches": "^\\{\"status\": ?\"(ok|ready)\", \"version\": ?\"[0-9]{1,3}(\\.[0-9]{1,3}){2}\"" }),
            "",
        ),
        (json!({ "method": "HEAD", "body_contains": "ok" }), "/http/body_contains"),
        (json!({ "connect_to": "green:0" }), "/http/connect_to"),
        (json!({ "url": "https://192.0.2.10/", "connect_to": "green:443" }), "/http/connect_to"),
        (json!({ "url": "http://shop.test/", "certificate_days_left": ">= 1" }), "/http/certificate_days_left"),
        (json!({ "timeout": "11s" }), "/http/timeout"),
    ];
    for (more, pointer) in cases {
        assert_eq!(pointers(more.clone()).join(" "), pointer, "{more}");
    }
}
