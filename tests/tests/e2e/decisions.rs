//! Who decides what, over HTTP and with the real clock: each row of the matrix that ships, words that come too late, people
//! with the same role, and a plan in its third phase.

use belay_tests::HttpAnswer;
use serde_json::{Value, json};

use crate::journal;
use crate::night::Night;
use crate::stage::Stage;

/// One trigger, and a rule for it.
const PLAN: &str = r#"
belay: 1
migration: $name
aws: { account: "$account", region: $region }
signals:
  shop: { http: { url: "$shop", status: 200 } }
  page: { http: { url: "$page", status: 200 } }
triggers:
  slow: { when: shop, for: 0s, severity: major }
decision:
  authority: [incident_commander]
  rules: [$rules]
steps:
  dns_back:
    action: route53.weights
    with: { zone: $zone, record: $record, type: A }
    to: { $blue_set: 100, $green_set: 0 }
    require: [page]
confirm: [{ signal: page, within: 1m }]
"#;

fn begin<'s>(stage: &'s mut Stage, rules: &str) -> Night<'s> {
    Night::begin(stage, &PLAN.replace("$rules", rules), &["shop"])
}

/// A word that is refused: the status, and a part of what is said.
#[track_caller]
fn assert_refused(answer: &HttpAnswer, status: u16, part: &str) {
    let problem = answer.json();
    assert!(answer.status == status && problem["detail"].as_str().is_some_and(|why| why.contains(part)), "{problem:#}");
}

// --- the matrix -----------------------------------------------------------------------------------------------------

/// Its signals; the alarms are pages here, and the old stack's health as well.
const SIGNALS: [(&str, &str); 7] = [
    ("checkout_fails", "{ alarm: orders-5xx }"),
    ("half_slower", "{ alarm: orders-latency-150-percent }"),
    ("fifth_slower", "{ alarm: orders-latency-120-percent }"),
    ("rows_missing", "{ alarm: orders-reconciliation }"),
    ("open_to_others", "{ alarm: orders-public-access }"),
    ("one_tenant", "{ alarm: orders-tenant-errors }"),
    ("old_ready", "{ target_health: { target_group: orders-old, at_least: 2 } }"),
];

const LISTENER: &str =
    "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/orders/50dc6c495c0c9188/f2f7dc8efc522ab2";

/// The example, on this world and with clocks that are shorter.
fn matrix() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/examples/decision-matrix.yaml");
    let mut text = std::fs::read_to_string(path).unwrap();
    // Who is told is another test's.
    let (begin, end) = (text.find("notify:\n").unwrap(), text.find("# Four hours after").unwrap());
    text.replace_range(begin..end, "");
    let mut swap = |from: &str, to: &str| {
        assert!(text.contains(from), "the example has no `{from}`");
        text = text.replace(from, to);
    };
    for (signal, kind) in SIGNALS {
        swap(kind, &format!("{{ http: {{ url: \"${signal}\", status: 200 }} }}"));
    }
    swap("migration: orders-move", "migration: $name");
    swap("account: \"111122223333\"", "account: \"$account\"");
    swap("region: eu-west-1", "region: $region");
    swap(LISTENER, "$listener");
    swap("{ orders-old: 100, orders-new: 0 }", "{ $blue: 100, $green: 0 }");
    for dwell in ["60s", "2m", "5m"] {
        swap(&format!(" for: {dwell}"), " for: 0s");
    }
    swap("timebox: 5m", "timebox: 3s");
    swap("timebox: 30m, then: fix_forward", "timebox: 3s, then: fix_forward");
    text
}

/// What is red, what people do about it, and the decisions that have to be on record then.
struct Row {
    red: &'static str,
    people: fn(&mut Night),
    expected: &'static [&'static str],
}

const NOBODY: fn(&mut Night) = |_| {};

/// Traffic stays where it is until it heals by itself.
const FORWARD: fn(&mut Night) = |night| {
    night.wait_for("fixing forward", |migration| migration["incident"]["answer"] == "fix_forward");
    assert_eq!(night.migration()["run"], Value::Null);
};

const ROWS: [Row; 6] = [
    Row {
        red: "rows_missing",
        people: NOBODY,
        expected: &["data_wrong opens", "roll_back", "run", "rolled_back", "closed: rolled_back"],
    },
    Row {
        red: "open_to_others",
        people: NOBODY,
        expected: &["exposed opens", "roll_back", "run", "rolled_back", "closed: rolled_back"],
    },
    Row {
        red: "checkout_fails",
        people: |night| {
            night.wait_for("the end of the time", |migration| migration["run"].is_object());
        },
        expected: &[
            "orders_fail opens",
            "decide, then roll_back",
            "roll_back",
            "run",
            "rolled_back",
            "closed: rolled_back",
        ],
    },
    Row {
        red: "half_slower",
        people: |night| {
            assert_refused(&night.says("cora", "roll_back"), 403, "may not decide");
            assert_eq!(night.says("carl", "roll_back").status, 200);
            assert_eq!(night.migration()["run"], Value::Null, "it takes the tech lead as well");
            assert_eq!(night.says("lea", "roll_back").status, 200);
        },
        expected: &[
            "much_slower opens",
            "decide, then roll_back",
            "carl: roll_back",
            "lea: roll_back",
            "roll_back",
            "run",
            "rolled_back",
            "closed: rolled_back",
        ],
    },
    Row {
        red: "fifth_slower",
        people: FORWARD,
        expected: &["slower opens", "decide, then fix_forward", "fix_forward", "closed: recovered"],
    },
    Row { red: "one_tenant", people: FORWARD, expected: &["tenant_fails opens", "fix_forward", "closed: recovered"] },
];

#[test]
fn each_row_of_the_matrix_is_executed() {
    let mut stage = Stage::cut_over("matrix", &[]);
    stage.wait_for_target("blue", "healthy");
    let (plan, pages) = (matrix(), SIGNALS.map(|(signal, _)| signal));
    for Row { red, people, expected } in ROWS {
        let mut night = Night::begin(&mut stage, &plan, &pages);
        night.must("carl", "cutover", json!({}));
        night.set_healthy(red, false);
        night.wait_for("an answer", |migration| migration["incident"].is_object() || migration["run"].is_object());
        people(&mut night);
        let rolls_back = expected.contains(&"run");
        night.set_healthy(red, true);
        if rolls_back {
            night.wait_for_rollback();
        } else {
            night.heal(red);
        }
        assert_eq!(night.decisions(), expected, "{red}");
        night.end();
        let sent: Vec<String> = stage.proxy.mutating_calls().into_iter().map(|call| call.action).collect();
        assert_eq!(sent, if rolls_back { vec!["ModifyListener"] } else { vec![] }, "{red}");
    }
}

#[test]
fn a_phase_that_takes_half_as_long_again_is_told_and_people_may_roll_back() {
    let mut stage = Stage::cut_over("late", &[]);
    let plan = matrix().replace("backfill: { expected: 4h }", "backfill: { expected: 2s }");
    let pages = SIGNALS.map(|(signal, _)| signal);
    let mut night = Night::begin(&mut stage, &plan, &pages);
    night.wait_for_question();
    assert_eq!(night.decisions(), ["takes_too_long opens", "fix_forward"]);
    assert_eq!(night.says("dora", "roll_back").status, 200);
    let run = night.wait_for("the copy to be stopped by hand", |migration| {
        migration["run"]["steps"]["copy_stopped"]["phase"] == "awaiting_approval"
    })["run"]
        .clone();
    assert_eq!(run["steps"]["traffic_back"]["phase"], "skipped", "nothing serves from the new side yet: {run:#}");
    night.end();
    assert!(stage.proxy.mutating_calls().is_empty());
}

// --- words ------------------------------------------------------------------------------------------------------------

#[test]
fn a_word_after_the_end_is_refused_where_the_rollback_has_begun_and_taken_where_nothing_has() {
    let mut stage = Stage::cut_over("afterwards", &[]);
    let mut night = begin(&mut stage, "{ do: decide, timebox: 2s, then: roll_back }");
    night.breach("shop");
    let incident = night.incident();
    night.wait_for("the run to begin", |migration| migration["run"].is_object());
    assert_eq!(night.says_on(&incident, "dora", "fix_forward").status, 409);
    night.wait_for_rollback();
    assert_refused(&night.says_on(&incident, "dora", "fix_forward"), 409, "closed");
    let expected = ["slow opens", "decide, then roll_back", "roll_back", "run", "rolled_back", "closed: rolled_back"];
    assert_eq!(night.decisions(), expected);
    night.end();

    let mut night = begin(&mut stage, "{ do: decide, timebox: 2s, then: fix_forward }");
    night.breach("shop");
    night.wait_for("the end of the time", |migration| migration["incident"]["answer"] == "fix_forward");
    assert_refused(&night.says("lea", "roll_back"), 403, "incident_commander");
    assert_eq!(night.says("dora", "roll_back").status, 200);
    night.wait_for_rollback();
    let expected = [
        "slow opens",
        "decide, then fix_forward",
        "fix_forward",
        "dora: roll_back",
        "roll_back",
        "run",
        "rolled_back",
        "closed: rolled_back",
    ];
    assert_eq!(night.decisions(), expected);
    night.end();
}

#[test]
fn of_two_people_with_the_same_role_either_decides_and_the_second_can_decide_otherwise() {
    let mut stage = Stage::cut_over("same", &[]);
    let mut night = begin(&mut stage, "{ do: decide, timebox: 10m, then: roll_back }");
    night.breach("shop");
    assert_eq!(night.says("carl", "fix_forward").status, 200);
    let incident = night.migration()["incident"].clone();
    assert_eq!((&incident["answer"], &incident["timebox_ends"]), (&json!("fix_forward"), &Value::Null));
    // A new process knows whose word it was.
    night.restart();
    assert_eq!(night.migration()["incident"]["words"][0]["who"], "carl");
    assert_eq!(night.says("dora", "roll_back").status, 200);
    night.wait_for_rollback();
    let expected = [
        "slow opens",
        "decide, then roll_back",
        "carl: fix_forward",
        "fix_forward",
        "dora: roll_back",
        "roll_back",
        "run",
        "rolled_back",
        "closed: rolled_back",
    ];
    assert_eq!(night.decisions(), expected);
    night.end();
}

// --- phases -----------------------------------------------------------------------------------------------------------

/// The third phase has a trigger and a step of its own.
const PHASED: &str = r#"
phases: { copy: { expected: 1h }, cutover: {}, soak: {} }
signals:
"#;

#[test]
fn in_its_third_phase_a_plan_watches_and_rolls_back_what_that_phase_has() {
    let mut stage = Stage::cut_over("third", &[]);
    let plan = PLAN
        .replace("$rules", "{ during: [soak], do: roll_back }, { do: fix_forward }")
        .replace("\nsignals:\n", PHASED)
        .replace("slow: { when: shop,", "slow: { during: [soak], when: shop,")
        .replace(
            "steps:\n",
            "steps:\n  copy_stopped: { action: manual, with: { instructions: Stop. }, during: [copy] }\n",
        )
        .replace(
            "    require: [page]\n",
            "    require: [page]\n    needs: [copy_stopped]\n    during: [cutover, soak]\n",
        );
    let mut night = Night::begin(&mut stage, &plan, &["shop"]);
    // Each phase has a rehearsal of its own.
    for (phase, skipped) in [
        ("copy", json!({ "dns_back": "it serves cutover, soak" })),
        ("soak", json!({ "copy_stopped": "it serves copy" })),
    ] {
        let dry = night.run(&["dry-run", "plan.yaml", "--phase", phase, "--json"]);
        assert_eq!((dry.code, &dry.json()["skipped"]), (0, &skipped), "{phase}: {dry}");
    }
    let unknown = night.run(&["dry-run", "plan.yaml", "--phase", "soaking"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("copy, cutover, soak"), "{unknown}");
    night.set_healthy("shop", false);
    let asleep =
        night.wait_for("the signal to be red", |migration| migration["signals"]["shop"]["health"] == "unhealthy");
    assert_eq!((&asleep["phase"], &asleep["triggers"]["slow"]["state"]), (&json!("copy"), &json!("asleep")));
    night.must("carl", "cutover", json!({}));
    let cutover = night.migration();
    assert_eq!((&cutover["phase"], &cutover["triggers"]["slow"]["state"]), (&json!("cutover"), &json!("asleep")));
    night.restart();
    assert_eq!(night.migration()["phase"], "cutover");
    assert_eq!(night.decisions(), [""; 0]);

    night.must("dora", "phase", json!({ "phase": "soak" }));
    night.wait_for_rollback();
    assert_eq!(night.decisions(), ["slow opens", "roll_back", "run", "rolled_back", "closed: rolled_back"]);
    let run = night.migration()["run"].clone();
    let steps = ["copy_stopped", "dns_back"].map(|step| run["steps"][step]["phase"].clone());
    assert_eq!(steps, ["skipped", "done"], "{run:#}");
    assert_eq!(run["steps"]["copy_stopped"]["why"], "it serves copy, and the phase is soak", "{run:#}");
    night.end();
    let records = journal::records(&stage.belay);
    let phases: Vec<&Value> = journal::events(&records, "phase_begun").iter().map(|event| &event["phase"]).collect();
    assert_eq!(phases, ["copy", "cutover", "soak"]);
    assert_eq!(journal::events(&records, "run_started")[0]["phase"], "soak");
    assert_eq!(stage.weights()[0], (100, 0));
}
