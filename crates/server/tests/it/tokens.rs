//! Who may do what.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use belay_server::Config;

use crate::world::{Answer, CHECKOUT, Ground, Running};

/// SHA-256 of `watch` and of `act`.
const TOKENS: &str = "
tokens:
  - { name: wall-screen, roles: [viewer], sha256: 'baed831623943be39ebf0ef44ae1e9c8fc3eeab51b5f89c113ca410d76a34c1d' }
  - { name: release-team, roles: [operator], sha256: 'f83f07be16e270186d35b876916c461995ebc3af5b1798f898c33285a1847dbc' }
";

async fn guarded() -> Running {
    let ground = Ground::new(&[("checkout.yaml", CHECKOUT)]);
    let tokens = Config::parse("belay.yaml", TOKENS).expect("valid tokens").tokens;
    let config = Config { tokens, listen: "0.0.0.0:7457".parse().expect("an address"), ..ground.config() };
    ground.start_with(config).await
}

async fn ask(test: &Running, method: &str, path: &str, authorization: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("host", "belay.internal:7457");
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    test.send(request.body(Body::empty()).expect("a request")).await
}

#[tokio::test(start_paused = true)]
async fn without_a_known_token_nothing_is_told() {
    let test = guarded().await;
    for authorization in [None, Some("Bearer wrong"), Some("Bearer"), Some("Basic YTpi")] {
        for (method, path) in [
            ("GET", "/v1/migrations"),
            ("POST", "/v1/migrations/checkout/arm"),
            ("GET", "/metrics"),
            ("GET", "/v1/events"),
        ] {
            let answer = ask(&test, method, path, authorization).await;
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
            answer.expect_problem(401, "unauthorized");
        }
    }
    ask(&test, "GET", "/healthz", None).await.expect(StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_reads_and_an_operator_acts() {
    let test = guarded().await;
    ask(&test, "GET", "/v1/migrations/checkout", Some("Bearer watch")).await.expect(StatusCode::OK);
    ask(&test, "HEAD", "/v1/events", Some("Bearer watch")).await.expect(StatusCode::OK);
    let refused = ask(&test, "POST", "/v1/migrations/checkout/arm", Some("Bearer watch")).await;
    assert!(refused.expect_problem(403, "forbidden")["detail"].as_str().unwrap().contains("wall-screen"));
    ask(&test, "GET", "/v1/migrations/checkout", Some("bearer act")).await.expect(StatusCode::OK);
    ask(&test, "POST", "/v1/migrations/checkout/arm", Some("bearer act")).await.expect(StatusCode::OK);
    let state = test.daemon.handle("checkout").unwrap();
    let records = belay_ports::Journal::read(test.ground.journal.as_ref(), state.migration(), 0).await.unwrap();
    assert_eq!(records[0].actor, "release-team");
}
