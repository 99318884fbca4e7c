//! The board of every state, from documents as the daemon answers them.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::*;

const SHA: &str = "3f1c9a2b7d10e5f6a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4";

fn look(width: Option<usize>) -> Look {
    Look { output: Output::plain_text(), width, frame: None, zone: TimeZone::UTC, commands: Some(Commands::default()) }
}

fn show(document: &Value, width: usize) -> String {
    let migration = Migration::read(document).unwrap();
    let lines = draw(&migration, Detail::Full, &look(Some(width)));
    for line in &lines {
        assert!(paint::width(line) <= width, "wider than {width}: {line}");
    }
    lines.join("\n")
}

/// Armed, the cutover under way, and all is well.
fn armed() -> Value {
    json!({
        "name": "shop-cutover", "state": "armed", "plan_sha256": SHA, "pending_plan": null, "plan_problem": null,
        "summary": "The shop moves from the old stack (blue) to the new one (green).",
        "armed": "2026-03-01T19:58:00Z", "cutover": "2026-03-01T21:46:00Z",
        "baseline": { "captured": "2026-03-01T19:58:00Z", "plan_sha256": SHA, "steps": ["dns_back"] },
        "triggers": { "customers_hurt": {
            "severity": "critical", "state": "quiet", "signals": ["checkout_errors", "latency"], "held_s": 0.0, "for_s": 60.0,
            "fires_at": null, "unknown_since": null,
        } },
        "signals": {
            "checkout_errors": signal("healthy", "2026-03-01T19:58:00Z", "OK: 0.2% of the checkouts fail"),
            "latency": signal("healthy", "2026-03-01T21:50:30Z", "0.8 s, at most 1.5 s"),
        },
        "blind": {}, "incident": null, "run": null, "waiting_for": [], "possible": ["arm", "disarm", "mute", "rollback"], "faults": [], "poll_s": 5.0, "seq": 12,
        "now": "2026-03-01T22:00:00Z",
    })
}

fn signal(health: &str, since: &str, evidence: &str) -> Value {
    json!({ "health": health, "since": since, "evidence": evidence, "source": "cloudwatch", "read": true })
}

fn step(phase: &str, needs: &[&str]) -> Value {
    json!({
        "phase": phase, "action": "x", "needs": needs, "attempt": 0, "waiting_for": [], "why": "", "changes": [], "require": [],
        "verify": [], "progress": null, "overrides": [], "fallback_for": null, "since": "2026-03-01T21:59:00Z",
        "started": null, "ended": null, "deadline": null,
    })
}

fn change(title: &str, effective: bool) -> Value {
    json!([{ "id": "weights", "title": title, "after": { "blue": 100 }, "effective": effective }])
}

/// A rollback half way: one step done, one settling, one to come.
fn rolling_back() -> Value {
    let mut document = incident();
    document["state"] = json!("rolling_back");
    document["incident"]["decision"] = json!("roll_back");
    document["incident"]["why"] = json!("customers_hurt is critical, system wide, of unknown fixing time: roll back");
    (document["waiting_for"], document["possible"]) = (json!([]), json!([]));
    let mut dns = step("done", &[]);
    dns["started"] = json!("2026-03-01T21:58:00Z");
    dns["ended"] = json!("2026-03-01T21:58:48Z");
    dns["changes"] = change("shop.example.com A: blue 0 -> 100, green 100 -> 0", true);
    let mut database = step("settling", &["dns_back"]);
    database["progress"] = json!({ "fraction": 0.4, "note": "creating (3 min of about 12)", "expected_left_s": 540 });
    document["run"] = json!({
        "id": "0kf3x9a2mq71", "migration": "shop-cutover", "kind": "real", "state": "running", "reason": "customers_hurt fired",
        "actor": "belay", "only": [], "incident": "0kf3x9a1zzzz", "plan_sha256": SHA, "started": "2026-03-01T21:58:00Z",
        "ended": null, "why": "", "aborting": false, "expected_left_s": 600, "confirm": [], "waiting_for": [],
        "possible": ["hold", "abort"],
        "steps": { "dns_back": dns, "database_back": database, "tell_people": step("pending", &["database_back"]) },
    });
    document
}

fn incident() -> Value {
    let mut document = armed();
    document["state"] = json!("incident");
    document["triggers"]["customers_hurt"]["state"] = json!("fired");
    document["signals"]["checkout_errors"] =
        signal("unhealthy", "2026-03-01T21:56:30Z", "ALARM: 14% of the checkouts fail");
    document["incident"] = json!({
        "id": "0kf3x9a1zzzz", "migration": "shop-cutover", "opened": "2026-03-01T21:57:30Z", "closed": null,
        "triggers": ["customers_hurt"], "decision": "fix_forward", "why": "customers_hurt is major, isolated: fix forward",
        "run": null, "outcome": null,
    });
    document["waiting_for"] = json!([{
        "reason": "an incident is open (customers_hurt): the plan's answer is to fix forward",
        "verbs": ["decide", "rollback", "disarm"],
    }]);
    document
}

#[test]
fn traffic_moves_in_stages() {
    let mut document = rolling_back();
    let mut dns = step("verifying", &[]);
    dns["stage"] = json!({ "number": 1, "of": 2, "percent": 50 });
    dns["changes"] = change("shop.example.com A: blue 0 -> 50, green 100 -> 50 (stage 50%)", true);
    dns["verify"] = json!([{
        "signal": "checkout_errors", "within_s": 300, "for_s": 60, "state": "holding",
        "holding_since": "2026-03-01T21:58:30Z", "health": null, "evidence": "OK",
    }]);
    document["run"]["steps"] = json!({ "dns_back": dns });
    insta::assert_snapshot!(show(&document, 80));
}

/// The tokens were changed since it was armed.
#[test]
fn who_cannot_be_asked_is_said() {
    let mut document = incident();
    assert!(!show(&document, 100).contains("auditor"));
    document["people_problem"] =
        json!("the plan asks for people: authority asks for 1 person with the role auditor, and 0 people have it");
    let shown = show(&document, 100);
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains(
            "1 person with the role auditor, and 0 people have it. Give the roles under the daemon's `tokens`"
        ),
        "{shown}"
    );
    assert!(words.contains("belay rollback shop-cutover"), "{shown}");
}

#[test]
fn recipients_who_were_refused_are_named() {
    let mut document = incident();
    document["notices"] = json!({ "ops": {
        "sent": 2, "failed": 0, "waiting": 0, "late": 0, "failing_since": null, "why": null, "given_up": null, "next_update": null,
        "refused": {
            "count": 1, "at": "2026-03-01T21:58:00Z", "about": "incident", "why": "gone@example.com (550 no such user)",
        },
    } });
    let shown = show(&document, 100);
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = "1 notice of ops did not reach all recipients, the last one at 21:58:00 (incident). Refused: \
                gone@example.com (550 no such user); tell them yourself";
    assert!(words.contains(line), "{shown}");
}

#[test]
fn disarmed() {
    let mut document = armed();
    document["state"] = json!("disarmed");
    for absent in ["armed", "baseline", "cutover", "plan_sha256", "summary"] {
        document[absent] = Value::Null;
    }
    for empty in ["triggers", "signals"] {
        document[empty] = json!({});
    }
    document["pending_plan"] = json!(SHA);
    document["possible"] = json!(["arm"]);
    insta::assert_snapshot!(show(&document, 80));
}

#[test]
fn armed_and_quiet() {
    insta::assert_snapshot!(show(&armed(), 100));
}

#[test]
fn more_would_be_lost_than_the_objective() {
    let mut document = armed();
    document["loss"] = json!({
        "orders_back": {
            "now_s": 11_403, "rpo_s": 300, "basis": "snapshot orders-before-2026-03-01 of 2026-03-01T18:49:57Z",
        },
        "shop_back": { "now_s": 120, "rpo_s": 300, "basis": "shop is restorable up to 2026-03-01T21:58:00Z" },
        "stock_back": {
            "now_s": null, "rpo_s": 300,
            "basis": "it cannot be read: rds:DescribeDBClusters on stock: \u{1b}[2Jaccess denied",
        },
        "by_hand": { "now_s": 86_400, "rpo_s": null, "basis": "the cutover at 2026-02-28T22:00:00Z" },
    });
    insta::assert_snapshot!(show(&document, 80));
}

#[test]
fn armed_and_a_plan_is_pending() {
    let mut document = armed();
    document["pending_plan"] = json!(SHA.replace('3', "9"));
    insta::assert_snapshot!(show(&document, 80));
}

#[test]
fn the_dwell_runs() {
    let mut document = armed();
    let trigger = &mut document["triggers"]["customers_hurt"];
    trigger["state"] = json!("dwelling");
    trigger["held_s"] = json!(24.0);
    trigger["fires_at"] = json!("2026-03-01T22:00:36Z");
    document["signals"]["checkout_errors"] =
        signal("unhealthy", "2026-03-01T21:59:36Z", "ALARM: 14% of the checkouts fail");
    insta::assert_snapshot!(show(&document, 80));
}

#[test]
fn blind() {
    let mut document = armed();
    let since = "2026-03-01T21:55:00Z";
    document["blind"] = json!({ "cloudwatch": since });
    document["triggers"]["customers_hurt"]["unknown_since"] = json!(since);
    for signal_name in ["checkout_errors", "latency"] {
        document["signals"][signal_name] = signal("unknown", since, "DescribeAlarms: connection refused");
    }
    document["faults"] = json!(["the journal cannot be written: disk full"]);
    insta::assert_snapshot!(show(&document, 80));
}

#[test]
fn an_incident_waits_for_its_decision() {
    insta::assert_snapshot!(show(&incident(), 80));
}

/// In a phase that takes longer than planned, near the point of no return, with one word of two.
#[test]
fn people_are_asked_and_one_of_two_has_spoken() {
    let mut document = incident();
    for (key, value) in [
        ("phase", json!("soak")),
        ("phase_since", json!("2026-03-01T20:46:00Z")),
        ("phase_expected_s", json!(3600.0)),
        (
            "window",
            json!({
                "opens": null, "point_of_no_return": "2026-03-01T22:25:00Z", "past": "require_approval", "left_s": 1500.0, "unmarked": false,
            }),
        ),
    ] {
        document[key] = value;
    }
    let incident = &mut document["incident"];
    for (key, value) in [
        ("decision", Value::Null),
        ("answer", json!("decide")),
        ("why", json!("customers_hurt is major, system wide: decide")),
        ("timebox_ends", json!("2026-03-01T22:12:30Z")),
        ("then", json!("roll_back")),
        ("authority", json!({ "all": ["incident_commander", "tech_lead"] })),
        (
            "words",
            json!([{
                "who": "carl", "roles": ["incident_commander"], "word": "roll_back", "at": "2026-03-01T21:58:10Z",
                "reason": "it looks bad", "counts": false,
            }, {
                "who": "carl", "roles": ["incident_commander"], "word": "fix_forward", "at": "2026-03-01T21:59:00Z",
                "reason": "the fix is on its way: \u{1b}[2Jtwo minutes", "counts": true,
            }]),
        ),
    ] {
        incident[key] = value;
    }
    document["waiting_for"] = json!([{
        "reason": "an incident is open (customers_hurt): people decide until 2026-03-01T22:12:30Z, one person of each of the \
                   roles incident_commander and tech_lead; then it is rolled back",
        "verbs": ["decide", "rollback", "disarm"],
    }]);
    insta::assert_snapshot!(show(&document, 80));
}

/// All that can stand on the board at once, under the longest names that a plan can have.
#[test]
fn the_worst_night_fits_eighty_columns() {
    let long = |begin: &str| format!("{begin}{}", "-and-more".repeat(7)).chars().take(63).collect::<String>();
    let mut document = incident();
    let (trigger, signal_name, role) = (long("trigger"), long("signal"), long("role"));
    document["name"] = json!(long("migration"));
    document["overlay"] = json!(long("overlay"));
    document["phase"] = json!(long("phase"));
    document["phase_since"] = json!("2026-02-20T20:46:00Z");
    document["phase_expected_s"] = json!(864_000.0);
    document["muted_until"] = json!("2026-03-02T01:25:00Z");
    document["muted_by"] = json!(long("person"));
    document["muted_reason"] = json!("a load test of the new side ".repeat(6));
    document["pending_plan"] = json!(SHA.replace('3', "9"));
    document["window"] = json!({
        "opens": "2026-03-02T22:00:00Z", "point_of_no_return": "2026-03-01T21:50:00Z", "past": "refuse", "left_s": 0.0, "unmarked": false,
    });
    document["loss"] =
        json!({ long("step"): { "now_s": 11_403, "rpo_s": 300, "basis": format!("snapshot {}", "x".repeat(200)) } });
    document["blind"] = json!({ long("source"): "2026-03-01T21:55:00Z" });
    document["notices"] = json!({ long("channel"): {
        "sent": 0, "failed": 2, "waiting": 3, "late": 1, "failing_since": "2026-03-01T21:55:00Z", "why": "503 ".repeat(60),
        "next_update": "2026-03-01T22:15:00Z",
    } });
    document["triggers"] = json!({ &trigger: {
        "severity": "critical", "state": "fired", "signals": [&signal_name], "held_s": 60.0, "for_s": 60.0, "fires_at": null,
        "unknown_since": null,
    } });
    document["signals"] =
        json!({ &signal_name: signal("unhealthy", "2026-02-01T21:56:30Z", &"ALARM: it fails ".repeat(20)) });
    let incident = &mut document["incident"];
    for (key, value) in [
        ("triggers", json!([&trigger, long("other")])),
        ("answer", json!("decide")),
        ("decision", json!("decide")),
        ("why", json!(format!("{trigger} is critical, system wide, of unknown fixing time: decide"))),
        ("timebox_ends", json!("2026-03-01T22:12:30Z")),
        ("then", json!("decide")),
        ("authority", json!({ "all": [&role, long("second")] })),
        (
            "words",
            json!([{
                "who": long("person"), "roles": [&role, long("second")], "word": "fix_forward", "at": "2026-03-01T21:59:00Z",
                "reason": "the fix is on its way ".repeat(8), "counts": true,
            }]),
        ),
    ] {
        incident[key] = value;
    }
    document["waiting_for"] = json!([{
        "reason": format!("an incident is open ({trigger}): people decide until 2026-03-01T22:12:30Z; it takes one person of each of the roles {role}"),
        "verbs": ["decide", "rollback", "disarm", "unmute", "cutover"],
    }]);
    let shown = show(&document, 80); // and no line is wider
    let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        format!("phase {}", long("phase")),
        "MUTED until".to_owned(),
        "the point of no return was passed".to_owned(),
        "more than the rpo of 5m".to_owned(),
        "people decide until 22:12:30 (in 12m 30s), and after that".to_owned(),
        "says fix forward".to_owned(),
        role,
    ] {
        assert!(flat.contains(&expected), "{expected}\nis not in\n{shown}");
    }
    // Commands are copied whole.
    let decide = "belay decide roll-back --incident 0kf3x9a1zzzz --reason \"...\"";
    assert!(flat.contains(decide), "{shown}");
    let rest = "belay disarm \\ ";
    assert!(flat.contains(&format!("{rest}{}", long("migration"))), "{shown}");
}

#[test]
fn muted_past_the_point_of_no_return() {
    let mut document = armed();
    document["muted_until"] = json!("2026-03-01T22:25:00Z");
    document["possible"] = json!(["arm", "disarm", "mute", "unmute", "rollback"]);
    document["muted_by"] = json!("dora");
    document["muted_reason"] = json!("a load test of the new side");
    document["window"] = json!({
        "opens": null, "point_of_no_return": "2026-03-01T21:50:00Z", "past": "refuse", "left_s": 0.0, "unmarked": false,
    });
    insta::assert_snapshot!(show(&document, 80));
}

#[test]
fn a_run_goes_on() {
    insta::assert_snapshot!(show(&rolling_back(), 100));
}

#[test]
fn a_run_goes_on_in_a_narrow_terminal() {
    insta::assert_snapshot!(show(&rolling_back(), 60));
}

#[test]
fn a_step_waits_for_two_people() {
    let mut document = rolling_back();
    let step = &mut document["run"]["steps"]["database_back"];
    step["phase"] = json!("awaiting_approval");
    step["progress"] = Value::Null;
    step["why"] = json!("it loses data: about 1h 40m of it");
    step["approval"] = json!({
        "role": "incident_commander", "quorum": 2, "given": ["alice"], "deadline": "2026-03-01T22:08:00Z", "otherwise": "halt",
    });
    let waiting = json!([{ "reason": "it loses data: about 1h 40m of it", "verbs": ["approve", "skip", "abort"], "step": "database_back" }]);
    document["run"]["waiting_for"] = waiting;
    document["run"]["expected_left_s"] = Value::Null;
    insta::assert_snapshot!(show(&document, 80));
}

#[test]
fn held() {
    let mut document = rolling_back();
    document["run"]["state"] = json!("held");
    document["run"]["possible"] = json!(["resume", "abort"]);
    document["run"]["why"] = json!("the network team looks at it first");
    document["run"]["waiting_for"] = json!([
        { "reason": "held: the network team looks at it first", "verbs": ["resume", "abort"] },
        { "reason": "it takes effect: restore shop", "verbs": ["skip", "resume", "abort"], "step": "database_back" },
    ]);
    insta::assert_snapshot!(show(&document, 100));
}

#[test]
fn halted() {
    let mut document = rolling_back();
    document["state"] = json!("halted");
    document["run"]["state"] = json!("halted");
    document["run"]["possible"] = json!(["resume", "abort"]);
    document["run"]["why"] = json!("database_back failed");
    document["run"]["expected_left_s"] = Value::Null;
    let why = "blue_ready was not healthy within 0s: 0 of 2 targets are healthy";
    let step = &mut document["run"]["steps"]["database_back"];
    step["phase"] = json!("failed");
    step["progress"] = Value::Null;
    step["why"] = json!(why);
    step["require"] = json!([{
        "signal": "blue_ready", "within_s": 0, "for_s": 0, "state": "failed", "holding_since": null, "health": null, "evidence": why,
    }]);
    document["run"]["steps"]["tell_people"]["phase"] = json!("blocked");
    document["run"]["waiting_for"] = json!([
        { "reason": "halted: database_back failed", "verbs": ["resume", "abort"] },
        { "reason": format!("failed: {why}"), "verbs": ["override", "retry", "skip", "abort"], "step": "database_back" },
    ]);
    insta::assert_snapshot!("halted_wide", show(&document, 110));
    insta::assert_snapshot!("halted_narrow", show(&document, 60));
}

#[test]
fn confirming() {
    let mut document = rolling_back();
    document["state"] = json!("confirming");
    document["run"]["state"] = json!("confirming");
    document["run"]["steps"]["database_back"]["phase"] = json!("done");
    document["run"]["steps"]["tell_people"]["phase"] = json!("skipped");
    document["run"]["steps"]["tell_people"]["why"] = json!("skipped: told them already");
    document["run"]["confirm"] = json!([{
        "signal": "checkout_errors", "within_s": 900, "for_s": 120, "state": "holding", "holding_since": "2026-03-01T21:59:30Z",
        "health": null, "evidence": "",
    }]);
    insta::assert_snapshot!(show(&document, 80));
}

#[test]
fn an_undo_under_way_is_no_rollback() {
    let mut document = rolling_back();
    document["run"]["kind"] = json!("undo");
    let shown = show(&document, 80);
    assert!(shown.contains("shop-cutover  undoing") && !shown.contains("rolling back"), "{shown}");
}

#[test]
fn a_failed_step_shows_while_another_branch_goes_on() {
    let mut document = rolling_back();
    document["run"]["steps"]["tell_people"]["phase"] = json!("failed");
    document["run"]["waiting_for"] = json!([
        { "reason": "it takes effect: restore shop", "verbs": ["skip", "hold", "abort"], "step": "database_back" },
        { "reason": "failed: no permission", "verbs": ["retry", "skip", "hold", "abort"], "step": "tell_people" },
    ]);
    let shown = show(&document, 110);
    assert!(!shown.contains("nothing waits for you"), "{shown}");
    assert!(shown.contains("tell_people: failed: no permission"), "{shown}");
    assert!(shown.contains("belay retry tell_people --run 0kf3x9a2mq71"), "{shown}");
}

/// It loses data past the point of no return, so it can only be skipped.
#[test]
fn a_failed_step_that_cannot_be_tried_again_shows_what_moves_it() {
    let mut document = rolling_back();
    document["state"] = json!("halted");
    document["run"]["state"] = json!("halted");
    document["run"]["possible"] = json!(["abort"]);
    document["run"]["steps"]["database_back"]["phase"] = json!("failed");
    document["run"]["waiting_for"] = json!([
        { "reason": "halted: it loses data", "verbs": ["abort"] },
        { "reason": "failed: it loses data", "verbs": ["skip", "abort"], "step": "database_back" },
    ]);
    let shown = show(&document, 110);
    assert!(shown.contains("belay skip database_back --run 0kf3x9a2mq71"), "{shown}");
    assert!(shown.contains("belay abort") && !shown.contains("retry") && !shown.contains("resume"), "{shown}");
}

#[test]
fn what_was_never_read_is_not_said_to_be_well() {
    let mut document = armed();
    document["signals"]["db_ready"] = signal("unknown", "2026-03-01T21:50:30Z", "");
    document["signals"]["db_ready"]["read"] = json!(false);
    let migration = Migration::read(&document).unwrap();
    let shown = draw(&migration, Detail::Short, &look(Some(80))).join("\n");
    assert!(shown.contains("✔ 2 signals well") && shown.contains("1 not read (idle)"), "{shown}");
}

#[test]
fn rolled_back() {
    let mut document = rolling_back();
    document["state"] = json!("rolled_back");
    document["armed"] = Value::Null;
    document["incident"] = Value::Null;
    document["run"]["state"] = json!("rolled_back");
    document["run"]["ended"] = json!("2026-03-01T21:59:30Z");
    document["run"]["expected_left_s"] = Value::Null;
    document["run"]["possible"] = json!(["undo"]);
    document["possible"] = json!(["arm"]);
    for name in ["database_back", "tell_people"] {
        document["run"]["steps"][name]["phase"] = json!("unchanged");
    }
    insta::assert_snapshot!(show(&document, 80));
}

#[test]
fn where_nothing_is_to_be_done_less_is_shown() {
    let migration = Migration::read(&armed()).unwrap();
    insta::assert_snapshot!(draw(&migration, Detail::Short, &look(Some(80))).join("\n"));
}

#[test]
fn without_a_terminal_nothing_is_cut() {
    let mut document = armed();
    let evidence = "x".repeat(300);
    document["signals"]["latency"]["evidence"] = json!(evidence);
    let migration = Migration::read(&document).unwrap();
    assert!(draw(&migration, Detail::Full, &look(None)).join("\n").contains(&evidence));
}

#[test]
fn a_daemon_that_does_not_stand_at_its_usual_place_is_named_in_every_command() {
    let migration = Migration::read(&incident()).unwrap();
    let commands = Some(Commands { url: Some("https://belay.example.com".to_owned()) });
    let shown = draw_needs(&migration, &Look { commands, ..look(None) });
    let commands: Vec<&String> = shown.iter().filter(|line| line.contains(" belay ")).collect();
    assert!(
        !commands.is_empty() && commands.iter().all(|line| line.contains(" --url https://belay.example.com")),
        "{commands:?}"
    );
}

#[test]
fn a_drill_is_never_taken_for_an_emergency() {
    let mut document = rolling_back();
    document["overlay"] = json!("staging");
    document["drill"] = json!({ "trigger": "customers_hurt", "reason": "before the cutover", "actor": "ada" });
    document["run"]["kind"] = json!("drill");
    let shown = show(&document, 80);
    assert!(shown.contains("a drill is under way: customers_hurt is made to fire; ada: before the"), "{shown}");
    assert!(shown.contains("overlay staging") && shown.contains("  drill 0kf3x9a2mq71"), "{shown}");
}

/// What is possible is what the daemon says: the board has no list of its own.
#[test]
fn every_verb_that_the_daemon_offers_is_shown() {
    let mut document = armed();
    document["possible"] = json!(["disarm", "cutover", "phase", "mute", "rollback"]);
    let shown = show(&document, 110);
    for verb in ["disarm", "cutover", "phase PHASE", "mute", "rollback"] {
        assert!(shown.contains(&format!("belay {verb} shop-cutover")), "{verb}\n{shown}");
    }
    document["possible"] = json!(["rollback"]);
    let shown = show(&document, 110);
    assert!(shown.contains("belay rollback") && !shown.contains("belay disarm"), "{shown}");
}

/// The first and the last change that were sent; what had its effect without a send is none of them.
#[test]
fn a_step_that_is_done_shows_what_was_sent() {
    let mut step = rolling_back()["run"]["steps"]["dns_back"].clone();
    let change =
        |title: &str, sent: bool| json!({ "id": title, "title": title, "after": {}, "effective": true, "sent": sent });
    step["phase"] = json!("done");
    step["changes"] =
        json!([change("restore", true), change("set", true), change("rename", true), change("window", false)]);
    let step: crate::document::Step = serde_json::from_value(step).unwrap();
    assert_eq!(step.what(), "restore; 1 more; rename");
}

/// A cluster and a database that was switched back say what they keep; a run of an older version is read by its names.
#[test]
fn what_a_run_keeps_is_said_by_its_changes() {
    let change = |id: &str, more: Value| {
        let mut change = json!({ "id": id, "title": id, "after": {}, "effective": true });
        more.as_object().unwrap().iter().for_each(|(key, value)| change[key] = value.clone());
        change
    };
    let mut run = rolling_back()["run"].clone();
    run["steps"]["dns_back"]["changes"] = json!([
        change(
            "rename_failed",
            json!({ "keeps": "cluster orders-failed-0kf3", "after": { "db_cluster_identifier": "orders-failed-0kf3" } })
        ),
        change("rename_green", json!({ "keeps": "shop-failed-0kf3" })),
        change("rename_failed", json!({ "after": { "db_instance_identifier": "stock-failed-0kf3" } })),
        change("rename_failed", json!({ "keeps": "not yet", "effective": false })),
    ]);
    let run = crate::document::Run::read(run).unwrap();
    assert_eq!(run.kept(), ["cluster orders-failed-0kf3", "shop-failed-0kf3", "stock-failed-0kf3"]);
}

/// A guard that is lost leaves it to people to mark the cutover.
#[test]
fn a_guard_is_shown_and_one_that_is_lost_stands_out() {
    let mut document = armed();
    let report = |lost: bool, found: &str| json!({ "stage": "command", "at": "2026-03-01T21:59:57Z", "lost": lost, "found": found });
    document["guard"] = report(false, "a guard runs the command, heard 3s ago");
    let shown = show(&document, 100);
    assert!(shown.lines().any(|line| line.trim() == "a guard runs the command, heard 3s ago"), "{shown}");
    document["guard"] = report(true, "the guard of this cutover was lost; the cutover is not marked");
    let shown = show(&document, 100);
    assert!(shown.contains("! the guard of this cutover was lost; the cutover is not marked"), "{shown}");
}
