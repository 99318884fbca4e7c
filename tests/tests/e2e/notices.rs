//! People are told by the unmodified binary, whatever happens to it.

use std::collections::BTreeMap;

use belay_tests::{Hook, MailServer, Receiver, http_get};
use serde_json::json;

use crate::stage::{DNS_PLAN, Stage};

/// A part of the webhook's address that nobody else may see.
const TOKEN: &str = "T0ken-of-the-hook-7f3a";
/// `whsec_` and 32 bytes in base64.
const KEY: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

const NOTIFY: &str = "
notify:
  team: { webhook: env:HOOK, secret: env:HOOK_KEY, insecure: true, within: 5m }
";

fn told(prefix: &str) -> (Stage, Receiver, String) {
    let mut stage = Stage::cut_over(prefix, &[]);
    let receiver = Receiver::start();
    stage.belay.env("HOOK", &receiver.url(TOKEN)).env("HOOK_KEY", KEY);
    let plan = stage.plan(&format!("{DNS_PLAN}{NOTIFY}"));
    (stage, receiver, plan)
}

/// By kind, the ids under which it came, each as often as it came.
fn by_kind(hooks: &[Hook]) -> BTreeMap<&str, Vec<&str>> {
    let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    hooks.iter().for_each(|hook| kinds.entry(hook.kind()).or_default().push(&hook.id));
    kinds
}

#[test]
fn a_kill_between_sent_and_recorded_tells_again_under_the_same_id_and_nothing_else_twice() {
    let (mut stage, receiver, plan) = told("told");
    let daemon = stage.serve_armed(&plan);
    let armed = receiver.wait_for("armed");
    assert!(armed.signature.as_ref().is_some_and(|signature| signature.starts_with("v1,")), "{armed:?}");

    receiver.hold();
    let path = format!("/v1/migrations/{}/rollback", stage.name());
    assert_eq!(daemon.post(&path, &json!({ "reason": "orders fail" })).status, 202);
    let decided = receiver.wait_for("decision");
    // The rollback does not wait for anybody to be told.
    daemon.wait_for_state("rolled_back");
    daemon.kill();

    receiver.answer_with(200);
    let daemon = stage.serve(&plan);
    receiver.wait_for("finished");
    daemon
        .wait_until("everything to be sent", |migration| (migration["notices"]["team"]["waiting"] == 0).then_some(()));
    let hooks = receiver.hooks();
    let kinds = by_kind(&hooks);
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), ["armed", "decision", "finished"]);
    assert_eq!(kinds["decision"], [&decided.id, &decided.id]);
    assert_eq!((kinds["armed"].len(), kinds["finished"].len()), (1, 1));
    let facts: Vec<_> =
        hooks.iter().filter(|hook| hook.kind() == "decision").map(|hook| &hook.body["data"]["facts"]).collect();
    assert_eq!(facts[0], facts[1], "the same words");
    assert_eq!(facts[0]["run"]["reason"], "orders fail");
}

#[test]
fn a_channel_that_fails_is_shown_and_its_secrets_are_nowhere() {
    let (mut stage, receiver, plan) = told("untold");
    receiver.answer_with(503);
    let daemon = stage.serve_armed(&plan);
    let failing = daemon.wait_until("the channel to be seen failing", |migration| {
        let team = &migration["notices"]["team"];
        team["failing_since"].is_string().then(|| team.clone())
    });
    assert_eq!((&failing["waiting"], &failing["sent"]), (&json!(1), &json!(0)));
    assert!(failing["why"].as_str().unwrap().contains("503"), "{failing}");
    let ready = http_get(&format!("{}/readyz", daemon.url)).unwrap();
    assert_eq!(ready.status, 200, "{ready:?}");
    assert_eq!(ready.json()["warnings"][0]["part"], "notices", "{ready:?}");
    let status = stage.belay.run(&["status"]);
    assert!(status.stdout.contains("team is not told since"), "{status}");
    let metrics = http_get(&format!("{}/metrics", daemon.url)).unwrap();
    assert!(metrics.body.contains(r#"belay_notices_total{channel="team",outcome="retried"}"#), "{metrics:?}");

    receiver.answer_with(200);
    daemon
        .wait_until("the channel to work again", |migration| (migration["notices"]["team"]["sent"] == 1).then_some(()));
    let events = stage.belay.run(&["audit", "--state", "sqlite:belay.db", "--json"]);
    let preview = stage.belay.run(&["notify", &plan, "--preview"]);
    assert_eq!(preview.code, 0, "{preview}");
    let ended = daemon.kill();
    let files = ["belay.db", "belay.db-wal"].map(|file| stage.belay.folder().join(file));
    let journal: Vec<u8> = files.iter().flat_map(|file| std::fs::read(file).unwrap_or_default()).collect();
    let journal = String::from_utf8_lossy(&journal).into_owned();
    let seen = [ended.stderr, ended.stdout, status.stdout, metrics.body, events.stdout, preview.stdout, journal];
    for secret in [TOKEN, KEY, KEY.trim_start_matches("whsec_")] {
        assert!(!seen.iter().any(|text| text.contains(secret)), "{secret} is shown");
    }
}

/// Some people got the notice and others did not: that is no success to pass over.
#[test]
fn recipients_whom_the_server_refuses_are_named_in_status_readiness_and_metrics() {
    let mut stage = Stage::cut_over("refused", &[]);
    let server = MailServer::start();
    stage.belay.env("SMTP", &server.url());
    let notify = "
notify:
  ops:
    email: { to: [ops@example.com, unknown-cto@example.com], from: belay@example.com, smtp: env:SMTP }
    insecure: true
    events: [finished]
";
    let plan = stage.plan(&format!("{DNS_PLAN}{notify}"));
    let daemon = stage.serve_armed(&plan);
    let path = format!("/v1/migrations/{}/rollback", stage.name());
    assert_eq!(daemon.post(&path, &json!({ "reason": "orders fail" })).status, 202);
    let mails = server.wait_for_count(1);
    assert_eq!(mails[0]["to"], json!(["ops@example.com"]));
    let ops = daemon.wait_until("the answer to be on record", |migration| {
        let ops = &migration["notices"]["ops"];
        (ops["sent"] == 1).then(|| ops.clone())
    });
    assert_eq!((&ops["refused"]["count"], &ops["given_up"]), (&json!(1), &json!(null)), "{ops}");
    let who = ops["refused"]["why"].as_str().unwrap();
    assert!(who.starts_with("unknown-cto@example.com (") && who.contains("no such user"), "{ops}");
    let ready = http_get(&format!("{}/readyz", daemon.url)).unwrap();
    assert_eq!((ready.status, &ready.json()["warnings"][0]["part"]), (200, &json!("notices")), "{ready:?}");
    let status = stage.belay.run(&["status"]);
    let words = status.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("1 notice of ops did not reach all recipients"), "{status}");
    assert!(words.contains("Refused: unknown-cto@example.com"), "{status}");
    let metrics = http_get(&format!("{}/metrics", daemon.url)).unwrap();
    assert!(metrics.body.contains(r#"belay_notices_total{channel="ops",outcome="partly_sent"} 1"#), "{metrics:?}");
}

#[test]
fn a_test_is_sent_as_one_and_what_could_not_be_told_is_not_armed() {
    let (mut stage, receiver, plan) = told("tried");
    let sent = stage.belay.run(&["notify", &plan, "--send-test", "--json"]);
    assert_eq!(sent.code, 0, "{sent}");
    assert_eq!(sent.json()["channels"][0]["sent"], true, "{sent}");
    let hook = receiver.wait_for("incident");
    assert_eq!(hook.body["data"]["test"], true, "{hook:?}");
    receiver.answer_with(404);
    let refused = stage.belay.run(&["notify", &plan, "--send-test"]);
    assert_eq!(refused.code, 3, "{refused}");
    assert!(refused.stdout.contains("404") && !refused.stdout.contains(TOKEN), "{refused}");

    stage.belay.env("HOOK", "");
    let dry = stage.belay.run(&["dry-run", &plan]);
    let text = std::fs::read_to_string(stage.belay.folder().join(&plan)).unwrap();
    let line = 1 + text.lines().position(|line| line.contains("webhook: env:HOOK")).unwrap();
    let place = format!("plan.yaml:{line}:20 (notify.team.webhook): channel team cannot be used: ");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(&dry.stdout).contains(place.trim()), "{place}: {dry}");
    let daemon = stage.serve(&plan);
    let armed = stage.belay.run(&["arm"]);
    assert_eq!(armed.code, 5, "{armed}");
    assert!(armed.stderr.contains(&place) && armed.stderr.contains("HOOK is empty"), "{armed}");
    let armed = stage.belay.run(&["arm", "--accept-unknown"]);
    assert_eq!(armed.code, 0, "{armed}");
    drop(daemon);
}
