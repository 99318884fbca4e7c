//! Who may do what.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use belay_server::Config;
use belay_sim::Receiver;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::world::{Answer, CHECKOUT, Ground, Running};

/// SHA-256 of `watch`, of `act` and of `command`.
const TOKENS: &str = "
tokens:
  - { name: wall-screen, roles: [viewer], sha256: 'baed831623943be39ebf0ef44ae1e9c8fc3eeab51b5f89c113ca410d76a34c1d' }
  - { name: release-team, roles: [operator], sha256: 'f83f07be16e270186d35b876916c461995ebc3af5b1798f898c33285a1847dbc' }
  - { name: commander, roles: [incident_commander], sha256: '5d347fd948b66308f502c3f65c8f7e12ff1c5cf8c760bcdfb188ae1ec7b8b618' }
";

async fn guarded() -> Running {
    guarded_by(CHECKOUT).await
}

async fn guarded_by(plan: &str) -> Running {
    guarded_with(plan, TOKENS).await
}

async fn guarded_with(plan: &str, tokens: &str) -> Running {
    let ground = Ground::new(&[("checkout.yaml", plan)]);
    let tokens = Config::parse("belay.yaml", tokens).expect("valid tokens").tokens;
    let config = Config { tokens, listen: vec!["0.0.0.0:7457".parse().expect("an address")], ..ground.config() };
    ground.start_with(config).await
}

async fn ask(test: &Running, method: &str, path: &str, authorization: Option<&str>) -> Answer {
    ask_with(test, method, path, authorization, "").await
}

async fn ask_with(test: &Running, method: &str, path: &str, authorization: Option<&str>, body: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("host", "belay.internal:7457");
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    test.send(request.body(Body::from(body.to_owned())).expect("a request")).await
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

#[tokio::test(start_paused = true)]
async fn who_may_approve_is_the_plan_s_to_say() {
    let approve = "approve: { role: incident_commander, within: 10m, otherwise: halt }";
    let plan = CHECKOUT.replace("    require: [", &format!("    {approve}\n    require: ["));
    let test = guarded_by(&plan).await;
    let (viewer, operator, commander) = (Some("Bearer watch"), Some("Bearer act"), Some("Bearer command"));
    ask(&test, "POST", "/v1/migrations/checkout/arm", commander).await.expect_problem(403, "forbidden");
    ask(&test, "POST", "/v1/migrations/checkout/arm", operator).await.expect(StatusCode::OK);
    test.ground.world.cut_over();
    let reason = r#"{"reason": "customers"}"#;
    let begun = ask_with(&test, "POST", "/v1/migrations/checkout/rollback", operator, reason).await;
    let run = format!("/v1/runs/{}", begun.expect(StatusCode::ACCEPTED)["run"].as_str().unwrap());
    until_it_waits(&test, &run).await;

    let yes = r#"{"answer": "approve", "reason": "it has to be"}"#;
    let path = format!("{run}/steps/traffic/approve");
    ask_with(&test, "POST", &path, viewer, yes).await.expect_problem(403, "forbidden");
    let refused = ask_with(&test, "POST", &path, operator, yes).await.expect_problem(403, "forbidden");
    assert_eq!(refused["role"], "incident_commander");
    ask_with(&test, "POST", &format!("{run}/steps/traffic/skip"), commander, reason)
        .await
        .expect_problem(403, "forbidden");
    let approved = ask_with(&test, "POST", &path, commander, yes).await.expect(StatusCode::OK);
    assert!(!waits(&approved["steps"]["traffic"]), "{approved:#}");
}

fn waits(step: &Value) -> bool {
    step["phase"] == "awaiting_approval"
}

async fn until_it_waits(test: &Running, run: &str) {
    let mut snapshots = test.daemon.handle("checkout").expect("it is guarded").watch();
    let waiting = async {
        while !waits(&ask(test, "GET", run, Some("Bearer watch")).await.body["steps"]["traffic"]) {
            snapshots.changed().await.expect("the engine runs");
        }
    };
    timeout(Duration::from_secs(60), waiting).await.expect("it waits for a person");
}

/// SHA-256 of `deputize`.
const DEPUTY: &str = "  - { name: deputy, roles: [incident_commander], sha256: '319aa16add13c0f1f3a78b1bf06223b90cbb79939b64077c4880a501a39de00d' }
";

/// A rule that nobody could answer is found before the night, and not in it.
#[tokio::test(start_paused = true)]
async fn a_role_that_decides_and_that_no_token_has_is_not_armed() {
    let operator = Some("Bearer act");
    let asking = |authority: &str| {
        let rule = format!("{{ do: decide, authority: {authority} }}");
        CHECKOUT.replace("triggers:\n", &format!("decision: {{ rules: [{rule}] }}\ntriggers:\n"))
    };
    for (authority, missing) in [
        ("[auditor]", "auditor"),
        ("{ all: [incident_commander, tech_lead] }", "tech_lead"),
        // One person is not two.
        ("{ all: [incident_commander, incident_commander] }", "incident_commander"),
    ] {
        let test = guarded_by(&asking(authority)).await;
        let refused = ask(&test, "POST", "/v1/migrations/checkout/arm", operator).await;
        let refused = refused.expect_problem(409, "needs_roles");
        assert!(refused["detail"].as_str().unwrap().contains(missing), "{refused:#}");
        assert!(refused["help"].as_str().unwrap().contains("tokens"), "{refused:#}");
    }
    let test = guarded_by(&asking("[incident_commander]")).await;
    ask(&test, "POST", "/v1/migrations/checkout/arm", operator).await.expect(StatusCode::OK);
    // All of them at once, each with its place in the plan.
    let plan = asking("{ all: [tech_lead, tech_lead] }")
        .replace("    require: [", "    approve: { role: auditor }\n    require: [");
    let test = guarded_by(&plan).await;
    let refused = ask(&test, "POST", "/v1/migrations/checkout/arm", operator).await.expect_problem(409, "needs_roles");
    let line = |text: &str| 1 + plan.lines().position(|line| line.contains(text)).unwrap();
    let detail = refused["detail"].as_str().unwrap();
    for expected in [
        format!("checkout.yaml:{}:", line("auditor")),
        format!("checkout.yaml:{}:", line("tech_lead")),
        "(steps.traffic.approve.role) asks for 1 person with the role auditor, and 0 people have it".to_owned(),
        "(decision.rules.0.authority.all) asks for 2 people with the role tech_lead, and 0 people have it".to_owned(),
    ] {
        assert!(detail.contains(&expected), "{expected} is not in {detail}");
    }
    assert!(!detail.contains("tech_lead or tech_lead"), "{detail}");
    assert!(refused["help"].as_str().unwrap().contains("`auditor`, `tech_lead`"), "{refused:#}");
}

/// Nobody is to correct one thing and then be told of the next.
#[tokio::test(start_paused = true)]
async fn all_that_stands_against_arming_is_told_at_once_one_a_line() {
    let operator = Some("Bearer act");
    let rule = "decision: { rules: [{ do: decide, authority: [auditor] }] }\ntriggers:\n";
    let notify = "notify:\n  team: { chat: room }\n  others: { chat: hall }\n";
    let plan = format!("{}\n{notify}", CHECKOUT.replace("triggers:\n", rule).trim_end());
    let test = guarded_by(&plan).await;
    ["team", "others"].into_iter().for_each(|name| test.ground.world.inbox().set(name, Receiver::Refuses));
    let refused = ask(&test, "POST", "/v1/migrations/checkout/arm", operator).await.expect_problem(409, "needs_roles");
    let lines: Vec<&str> = refused["detail"].as_str().unwrap().lines().collect();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines[1].ends_with("asks for 1 person with the role auditor, and 0 people have it"), "{lines:#?}");
    for (line, name) in lines[2..].iter().zip(["team", "others"]) {
        assert!(line.contains(&format!("channel {name} cannot be used: the simulated receiver refuses it")), "{line}");
    }
}

/// What is armed without tokens can be decided without them.
#[tokio::test(start_paused = true)]
async fn without_tokens_whoever_is_on_this_machine_has_every_role() {
    let rule = "decision: { rules: [{ do: decide, authority: [incident_commander] }] }\ntriggers:\n";
    let ground = Ground::new(&[("checkout.yaml", &CHECKOUT.replace("triggers:\n", rule))]);
    let config = ground.config();
    let test = ground.start_with(config).await;
    test.post("/v1/migrations/checkout/arm", "{}").await.expect(StatusCode::OK);
    test.ground.world.cut_over();
    let shown = test.until("/v1/migrations/checkout", |shown| shown["incident"].is_object()).await;
    let incident = shown["incident"]["id"].as_str().unwrap();
    let word = r#"{ "decision": "roll_back", "reason": "too many errors" }"#;
    test.post(&format!("/v1/incidents/{incident}/decide"), word).await.expect(StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn two_people_are_two_tokens() {
    let approve = "approve: { role: incident_commander, quorum: 2 }";
    let plan = CHECKOUT.replace("    require: [", &format!("    {approve}\n    require: ["));
    let (operator, commander) = (Some("Bearer act"), Some("Bearer command"));

    let test = guarded_by(&plan).await;
    let refused = ask(&test, "POST", "/v1/migrations/checkout/arm", operator).await.expect_problem(409, "needs_roles");
    assert!(refused["detail"].as_str().unwrap().contains("incident_commander"), "{refused:#}");

    let test = guarded_with(&plan, &format!("{TOKENS}{DEPUTY}")).await;
    ask(&test, "POST", "/v1/migrations/checkout/arm", operator).await.expect(StatusCode::OK);
    test.ground.world.cut_over();
    let reason = r#"{"reason": "customers"}"#;
    let begun = ask_with(&test, "POST", "/v1/migrations/checkout/rollback", operator, reason).await;
    let run = format!("/v1/runs/{}", begun.expect(StatusCode::ACCEPTED)["run"].as_str().unwrap());
    until_it_waits(&test, &run).await;
    let (yes, path) = (r#"{"answer": "approve", "reason": "it has to be"}"#, format!("{run}/steps/traffic/approve"));
    let first = ask_with(&test, "POST", &path, commander, yes).await.expect(StatusCode::OK);
    assert_eq!(first["steps"]["traffic"]["approval"]["given"], json!(["commander"]), "{first:#}");
    assert!(waits(&first["steps"]["traffic"]), "one is not enough: {first:#}");
    let again = ask_with(&test, "POST", &path, commander, yes).await.expect_problem(409, "wrong_state");
    assert!(again["help"].as_str().unwrap().contains("different people"), "{again:#}");
    let second = ask_with(&test, "POST", &path, Some("Bearer deputize"), yes).await.expect(StatusCode::OK);
    assert!(!waits(&second["steps"]["traffic"]), "{second:#}");
}

#[tokio::test(start_paused = true)]
async fn everybody_has_keys_of_their_own() {
    let test = guarded().await;
    let arm = async |token: &str| {
        let request = Request::post("/v1/migrations/checkout/arm").header("idempotency-key", "monday");
        let request = request.header("authorization", format!("Bearer {token}"));
        test.send(request.body(Body::empty()).unwrap()).await
    };
    arm("watch").await.expect_problem(403, "forbidden");
    let first = arm("act").await;
    assert!(!first.headers.contains_key("idempotency-replayed"));
    first.expect(StatusCode::OK);
    assert_eq!(arm("act").await.headers["idempotency-replayed"], "true");
    arm("watch").await.expect_problem(403, "forbidden");
}

#[tokio::test(start_paused = true)]
async fn the_document_asks_for_a_token_where_the_daemon_does() {
    let test = guarded().await;
    let document = ask(&test, "GET", "/openapi.json", None).await.expect(StatusCode::OK);
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let answer = ask(&test, &method.to_uppercase(), path, None).await;
            let asked = operation["security"].is_array();
            assert_eq!(answer.status == StatusCode::UNAUTHORIZED, asked, "{method} {path}");
            assert_eq!(operation["responses"]["401"].is_object(), asked, "{method} {path}");
        }
    }
}
