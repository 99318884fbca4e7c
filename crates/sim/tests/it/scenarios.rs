//! Scenarios: their language, and what the shipped ones do to a plan.

use belay_core::event::Event;
use belay_plan::{
    duration,
    model::{Nature, Plan},
};
use belay_sim::{
    rehearsal::{Outcome, Played, script::Script},
    scenario,
};
use serde_json::Value;

use crate::rehearsals::{plan, rehearsal, repository};

/// A plan that every shipped scenario finds something in.
pub(crate) const SHOP: &str = r#"
belay: 1
migration: shop
aws: { account: "111122223333", region: eu-west-1 }
objectives: { rto: 3h, rpo: 2h, confidence: 10m }
signals:
  errors: { alarm: shop-5xx }
  blue_ready: { target_health: { target_group: shop-blue, at_least: 2 } }
  database_ready: { rds_status: { instance: shop, status: available } }
triggers:
  hurt: { when: errors, for: 30s, severity: critical }
  lost: { when: database_ready, for: 1h, severity: minor }
steps:
  dns_back:
    action: route53.weights
    with: { zone: Z0123456789ABC, record: shop.example.com, type: A }
    require: [blue_ready]
  listener_back:
    action: alb.forward
    with: { listener: "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2" }
    to: { shop-blue: 100, shop-green: 0 }
    require: [blue_ready]
  look:
    needs: [listener_back]
    action: manual
    with: { instructions: "Look at the orders." }
  pause: { needs: [look], action: wait, with: { for: 2m } }
  database_back:
    needs: [pause]
    action: rds.restore
    with: { instance: shop, from: { snapshot: shop-before } }
    loses_data: true
    verify: [{ signal: database_ready, within: 10m }]
confirm: [{ signal: errors, within: 15m, for: 2m }]
"#;

pub(crate) fn script(text: &str, plan: &Plan) -> Script {
    scenario::load("scenario.yaml", text, plan, None, None).unwrap_or_else(|errors| {
        panic!("{}", errors.iter().map(|error| error.render(false) + "\n").collect::<String>())
    })
}

fn refused(events: &str) -> String {
    let text = format!("scenario: 1\nsummary: It goes wrong.\n{events}");
    let errors = scenario::load("scenario.yaml", &text, &plan(SHOP), None, None).unwrap_err();
    errors.iter().map(|error| error.render(false) + "\n\n").collect()
}

fn shipped(name: &str) -> String {
    std::fs::read_to_string(repository().join("config/scenarios").join(name).with_extension("yaml")).unwrap()
}

/// Plays a shipped scenario with a few seeds.
fn play(name: &str, plan_text: &str) -> Vec<Played> {
    let plan = plan(plan_text);
    let rehearsal = rehearsal(&plan, script(&shipped(name), &plan));
    (0..4).map(|seed| rehearsal.play(seed).unwrap()).collect()
}

fn outcomes(played: &[Played]) -> Vec<Outcome> {
    let mut found: Vec<Outcome> = played.iter().map(|played| played.report.outcome).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn has(played: &Played, what: &str) -> bool {
    serde_json::to_string(&played.records).unwrap().contains(what)
}

#[test]
fn a_restore_that_takes_twice_as_long_takes_twice_as_long() {
    let plan = plan(SHOP);
    let usual = rehearsal(&plan, Script::usual(&plan, None));
    for (seed, slow) in play("restore-takes-twice-as-long", SHOP).into_iter().enumerate() {
        let usual = usual.play(seed as u64).unwrap();
        let took = |played: &Played| played.report.steps["database_back"].took.unwrap().as_secs_f64();
        let ratio = took(&slow) / took(&usual);
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
        assert_eq!(slow.report.outcome, Outcome::RolledBack);
    }
}

fn staged(verify: &str) -> Plan {
    let staged = format!("    require: [blue_ready]\n    stages: [10, 50, 100]\n    verify: [{verify}]\n  listener");
    let text = SHOP.replacen("    require: [blue_ready]\n  listener", &staged, 1);
    plan(&text.replacen(
        "  blue_ready:",
        "  page: { http: { url: \"https://shop.example.com/\", status: 200 } }\n  blue_ready:",
        1,
    ))
}

/// What a first part has healed stays so while the next ones are on their way.
#[test]
fn traffic_in_stages_heals_once() {
    let plan = staged("{ signal: page, within: 5m, for: 30s }");
    let played = rehearsal(&plan, Script::usual(&plan, None)).play(1).unwrap();
    assert_eq!(played.report.outcome, Outcome::RolledBack);
    assert_eq!(played.report.steps["dns_back"].sends, 3);
    let ill = played.records.iter().map(|record| serde_json::to_string(record).unwrap());
    let ill = ill.filter(|text| text.contains("\"signal\":\"page\"") && text.contains("\"to\":\"unhealthy\""));
    assert_eq!(ill.count(), 0, "it is read from the first part on");
}

/// A tenth of the traffic does not heal what the trigger watches.
#[test]
fn a_symptom_heals_with_the_last_stage() {
    let plan = staged("{ signal: errors, within: 5m, for: 30s }");
    let played = rehearsal(&plan, Script::usual(&plan, None)).play(1).unwrap();
    assert_eq!((played.report.outcome, played.report.steps["dns_back"].sends), (Outcome::Halted, 1));
}

/// What names its own target and loses no data is a job: nobody is asked how much is lost.
#[test]
fn a_job_is_no_restore() {
    let mut plan = plan(&SHOP.replace("rpo: 2h", "rpo: 1s"));
    let job = &mut plan.steps["database_back"];
    (job.loses_data, job.nature) = (false, Some(Nature::Job));
    let played = rehearsal(&plan, Script::usual(&plan, None)).play(1).unwrap();
    assert_eq!((played.report.outcome, played.report.times.data_lost), (Outcome::RolledBack, None));
    assert_eq!(played.report.steps["database_back"].sends, 1);
}

/// What a plan passes over is not put back by that: customers stay where it fails.
#[test]
fn what_is_passed_over_heals_nothing() {
    let only = |step: &str| {
        format!(
            "belay: 1\nmigration: shop\naws: {{ account: \"111122223333\", region: eu-west-1 }}\nsignals: {{ errors: {{ alarm: shop-5xx }} }}\n\
         triggers: {{ hurt: {{ when: errors, for: 30s, severity: critical }} }}\nsteps:\n  it:\n{step}\
         confirm: [{{ signal: errors, within: 15m, for: 2m }}]\n"
        )
    };
    let play = |step: &str, scenario: &str| {
        let plan = plan(&only(step));
        rehearsal(&plan, script(&format!("scenario: 1\nsummary: It fails.\n{scenario}"), &plan)).play(1).unwrap().report
    };
    let traffic = "    action: route53.weights\n    with: { zone: Z0123456789ABC, record: shop.example.com, type: A }\n    to: { blue: 100, green: 0 }\n";
    let passed = |step: &str| format!("    on_failure: continue\n{step}");
    let denied = "events: [{ fail: { steps: all, how: denied } }]\n";
    let report = play(&passed(traffic), denied);
    assert_eq!((report.outcome, report.steps["it"].phase), (Outcome::Halted, "failed"), "{}", report.why);
    assert!(report.why.contains("the confirmation did not hold"), "{}", report.why);
    let skipped =
        "halted: [{ do: skip, after: 1m }, { do: resume }]\nevents: [{ fail: { steps: all, how: denied } }]\n";
    let report = play(traffic, skipped);
    assert_eq!((report.outcome, report.steps["it"].phase), (Outcome::Halted, "skipped"), "{}", report.why);
    // Nothing shows what a person has done, or a job: without it, what the others put back is enough. Alone, it heals nothing.
    let by_hand = passed("    action: manual\n    with: { instructions: Look. }\n");
    let nobody = "people: [{ answer: deny }]\n";
    let report = play(&by_hand, nobody);
    assert_eq!((report.outcome, report.steps["it"].phase), (Outcome::Halted, "failed"), "{}", report.why);
    let report = play(&format!("{by_hand}  dns:\n{traffic}"), nobody);
    assert_eq!((report.outcome, report.steps["it"].phase), (Outcome::RolledBack, "failed"), "{}", report.why);
}

#[test]
fn without_targets_no_traffic_goes_to_blue() {
    for played in play("blue-has-lost-its-targets", SHOP) {
        assert_eq!(played.report.outcome, Outcome::Halted);
        assert!(played.report.why.contains("blue_ready is unhealthy"), "{}", played.report.why);
        assert_eq!(played.report.steps["dns_back"].sends, 0);
    }
    // Without an interlock, the actuator's own look at the targets stands in the way.
    for played in play("blue-has-lost-its-targets", &SHOP.replace("    require: [blue_ready]\n", "")) {
        assert_eq!(played.report.outcome, Outcome::Halted);
        assert!(played.report.why.contains("it is not healthy"), "{}", played.report.why);
    }
}

/// A scenario that happens beside the rollback proves nothing, so it is said.
#[test]
fn what_meets_nothing_is_said() {
    let plan = plan(SHOP);
    let play = |events: &str| {
        let text = format!("scenario: 1\nsummary: Too early, too late.\n{events}");
        rehearsal(&plan, script(&text, &plan)).play(1).unwrap().report.unmet
    };
    let late = play(
        "events:\n  - { fail: { steps: dns_back, how: denied }, for: 1s }\n  - { signal: { signals: errors, shows: unhealthy }, at: { done: dns_back, after: 20h } }\n  - { kill: {}, at: 1m }\n  - { change: { steps: dns_back }, at: 0s }\n",
    );
    assert_eq!(
        late,
        ["event 1 (`fail`) met nothing", "event 2 (`signal`) met nothing", "event 4 (`change`) met nothing"]
    );
    assert_eq!(play("people: [{ steps: database_back }, { steps: look }]\n"), ["entry 1 of `people` was never asked"]);
}

/// Whoever is blind for longer than the objective is outside of it, though the trigger fires as soon as it sees again.
#[test]
fn blindness_counts_for_the_objective() {
    let plan = plan(&SHOP.replace("rto: 3h", "rto: 1h"));
    let text = "scenario: 1\nsummary: Blind.\nevents: [{ signal: { signals: all, shows: missing }, for: 40m }]\n";
    let report = |script| rehearsal(&plan, script).play(1).unwrap().report;
    let (seen, blind) = (report(Script::usual(&plan, None)), report(script(text, &plan)));
    assert_eq!((seen.verdict.within_rto, blind.verdict.within_rto), (Some(true), Some(false)), "{:?}", blind.times);
    assert!(blind.times.detection.unwrap() >= std::time::Duration::from_secs(40 * 60));
    let times = blind.times;
    assert_eq!(times.total, times.recovery.zip(times.confidence).map(|(recovery, confidence)| recovery + confidence));
}

#[test]
fn throttling_is_waited_for() {
    for played in play("route53-throttles", SHOP) {
        assert_eq!(played.report.outcome, Outcome::RolledBack);
        assert!(has(&played, "rate exceeded"));
    }
}

#[test]
fn an_alarm_that_goes_missing_is_not_taken_for_healthy() {
    for played in play("alarm-goes-missing", SHOP) {
        assert_eq!(played.report.outcome, Outcome::RolledBack);
        assert!(has(&played, "there is no data"));
    }
}

#[test]
fn expired_credentials_are_waited_for() {
    let played = play("credentials-expire", SHOP);
    assert!(played.iter().all(|played| has(played, "the credentials have expired")));
    assert_eq!(outcomes(&played), [Outcome::RolledBack]);
}

#[test]
fn a_daemon_that_is_killed_changes_no_outcome() {
    let played = play("daemon-is-killed", SHOP);
    assert_eq!(outcomes(&played), [Outcome::RolledBack]);
    assert!(played.iter().any(|played| has(played, "watch_resumed")));
}

#[test]
fn what_belay_itself_knows_is_changed_by_no_event() {
    let lost = "signals:\n  late: { elapsed: { since: cutover, at_most: 1h } }\n  gone: { loss: database_back, healthy: \"<= 10m\" }\n";
    let plan = plan(&SHOP.replacen("signals:\n", lost, 1));
    let text = "scenario: 1\nsummary: It goes wrong.\nevents:\n  - { at: 1m, signal: { signals: [errors, gone, late], shows: unhealthy } }\n";
    let errors = scenario::load("scenario.yaml", text, &plan, None, None).unwrap_err();
    let told: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "no sensor reads `gone` (loss), so no event changes what it shows",
            "no sensor reads `late` (elapsed), so no event changes what it shows"
        ]
    );
}

#[test]
fn errors_that_do_not_stop_are_not_confirmed() {
    let played = play("errors-do-not-stop", SHOP);
    assert_eq!(outcomes(&played), [Outcome::Halted]);
    assert!(played[0].report.why.contains("the confirmation did not hold"), "{}", played[0].report.why);
}

#[test]
fn another_controller_is_not_fought() {
    let played = play("somebody-changes-the-listener", SHOP);
    assert_eq!(outcomes(&played), [Outcome::Halted]);
    assert!(played.iter().all(|played| has(played, "\"code\":\"contested\"")));
    assert!(played.iter().all(|played| played.report.steps["listener_back"].sends == 1));
}

#[test]
fn people_answer_late_or_not_at_all() {
    let plan = plan(SHOP);
    let play = |text: &str| rehearsal(&plan, script(text, &plan)).play(1).unwrap().report;
    let late = play("scenario: 1\nsummary: Late.\npeople: [{ steps: look, after: 30m }]\n");
    assert_eq!(late.outcome, Outcome::RolledBack);
    assert!(late.steps["look"].took.unwrap() >= duration::parse("30m").unwrap());
    let never = play("scenario: 1\nsummary: Nobody.\npeople: [{ steps: look, answer: nothing }]\n");
    assert_eq!((never.outcome, never.verdict.within_objectives), (Outcome::WaitsForPerson, false));
    assert!(never.why.contains("Look at the orders."), "{}", never.why);
    let no = play("scenario: 1\nsummary: No.\npeople: [{ answer: deny }]\n");
    assert_eq!(no.outcome, Outcome::Halted);
}

#[test]
fn people_act_after_a_halt() {
    let plan = plan(SHOP);
    let play = |text: &str| rehearsal(&plan, script(text, &plan)).play(1).unwrap().report;
    let denied = "events: [{ fail: { steps: dns_back, how: denied }, for: 10m }]\n";
    let nobody = play(&format!("scenario: 1\nsummary: Denied.\n{denied}"));
    assert_eq!(nobody.outcome, Outcome::Halted);
    let with = |acts: &str| play(&format!("scenario: 1\nsummary: Denied.\nhalted: [{acts}]\n{denied}"));
    let resumed = with("{ do: resume, after: 1h }");
    assert_eq!((resumed.outcome, resumed.steps["dns_back"].phase), (Outcome::RolledBack, "done"), "{}", resumed.why);
    assert!(resumed.times.total.unwrap() > duration::parse("1h").unwrap() && resumed.unmet.is_empty());
    // Too early, and then once more.
    let twice = with("{ do: retry, steps: dns_back, after: 1m }, { do: retry, after: 1h }");
    assert_eq!((twice.outcome, twice.steps["dns_back"].phase), (Outcome::RolledBack, "done"), "{}", twice.why);
    let skipped = with("{ do: skip, steps: dns_back }, { do: resume }");
    assert_eq!(skipped.steps["dns_back"].phase, "skipped", "{skipped:?}");
    let aborted = with("{ do: abort }, { do: resume }");
    assert_eq!(aborted.outcome, Outcome::Aborted);
    assert_eq!(aborted.unmet, ["entry 2 of `halted` found nothing to do"]);
}

/// One of them says yes, the other one no, or nothing.
#[test]
fn a_quorum_disagrees() {
    let asks = "loses_data: true\n    approve: { role: lead, quorum: 2, within: 10m }";
    let plan = plan(&SHOP.replace("loses_data: true", asks));
    let play = |answer: &str| {
        let text = format!("scenario: 1\nsummary: Two.\npeople: [{{ steps: database_back, answer: {answer} }}]\n");
        rehearsal(&plan, script(&text, &plan)).play(1).unwrap()
    };
    assert_eq!(play("approve").report.outcome, Outcome::RolledBack);
    let denied = play("[approve, deny]");
    assert_eq!((denied.report.outcome, denied.report.steps["database_back"].sends), (Outcome::Halted, 0));
    assert!(has(&denied, "approval_given") && has(&denied, "denied by lead 2"), "{}", denied.report.why);
    let silent = play("[approve, nothing]");
    assert_eq!(silent.report.outcome, Outcome::Halted);
    assert!(silent.report.why.contains("1 of 2"), "{}", silent.report.why);
}

/// The call is accepted, takes its time, and comes to nothing: that is no error of the API, and nothing of it is in place.
#[test]
fn a_job_fails_by_its_own_verdict() {
    let plan = plan(SHOP);
    let play = |text: &str| rehearsal(&plan, script(text, &plan)).play(1).unwrap();
    let fails = "events: [{ fail: { steps: listener_back, how: verdict }, for: 10m }]\n";
    let played = play(&format!("scenario: 1\nsummary: It fails.\n{fails}"));
    assert_eq!(played.report.outcome, Outcome::Halted);
    assert!(has(&played, "\"code\":\"verdict\"") && has(&played, "it has ended without success"));
    assert_eq!((played.report.steps["listener_back"].sends, played.report.unmet.len()), (1, 0));
    // A person tries it again when it can succeed.
    let halted = "halted: [{ do: retry, steps: listener_back, after: 30m }]\n";
    let again = play(&format!("scenario: 1\nsummary: It fails.\n{halted}{fails}"));
    assert_eq!(again.report.outcome, Outcome::RolledBack, "{}", again.report.why);
    assert_eq!(again.report.steps["listener_back"].sends, 2);
}

#[test]
fn a_person_calls_the_rollback_while_all_is_green() {
    let plan = plan(SHOP);
    let play = |text: &str| rehearsal(&plan, script(text, &plan)).play(1).unwrap().report;
    let green = "{ signal: { signals: all, shows: healthy } }";
    let called = play(&format!("scenario: 1\nsummary: Called.\nevents: [{{ rollback: {{}}, at: 5m }}, {green}]\n"));
    assert_eq!(called.outcome, Outcome::RolledBack, "{}", called.why);
    assert_eq!(called.times.detection, Some(duration::parse("5m").unwrap()));
}

#[test]
fn an_event_comes_again() {
    let plan = plan(SHOP);
    let play = |text: &str| rehearsal(&plan, script(text, &plan)).play(1).unwrap();
    let text = "scenario: 1\nsummary: It dies again and again.\nevents: [{ kill: {}, at: 5m, every: 10m }]\n";
    let played = play(text);
    let resumed = played.records.iter().filter(|record| matches!(record.event, Event::WatchResumed { .. })).count();
    assert!(resumed > 2 && played.report.outcome == Outcome::RolledBack, "{resumed}: {}", played.report.why);
}

#[test]
fn a_breach_that_nobody_sees_is_unnoticed_and_a_late_one_loses_more() {
    let plan = plan(SHOP);
    let play = |text: &str| rehearsal(&plan, script(text, &plan)).play(1).unwrap().report;
    let unseen =
        play("scenario: 1\nsummary: Unseen.\nhorizon: 2h\nevents: [{ signal: { signals: all, shows: missing } }]\n");
    assert_eq!(unseen.outcome, Outcome::Unnoticed, "{}", unseen.why);
    let late = play("scenario: 1\nsummary: Late.\nbreach: { after: 3h }\n");
    assert_eq!(late.verdict.within_rpo, Some(false));
    assert!(!late.verdict.within_objectives && late.outcome == Outcome::RolledBack);
    // The people whom the plan asks about the step may agree to more: that is within the plan. Somebody who is asked only
    // because it is more than the `rpo` does not make it so.
    let asking =
        self::plan(&SHOP.replace("loses_data: true", "loses_data: true\n    approve: { role: lead, within: 10m }"));
    let scenario = "scenario: 1\nsummary: Late.\nbreach: { after: 3h }\n";
    let agreed = rehearsal(&asking, script(scenario, &asking)).play(1).unwrap().report.verdict;
    assert!(agreed.within_rpo == Some(false) && agreed.loss_approved && agreed.within_objectives, "{agreed:?}");
    assert!(!late.verdict.loss_approved);
    // Two hundred days of calm are not played one poll after the other, and what comes then is the same; nor is a year in which
    // nothing happens any more.
    let after = "scenario: 1\nsummary: Very late.\nbreach: { after: 200d }\nhorizon: 366d\n";
    let late = play(after);
    assert_eq!(late.outcome, Outcome::RolledBack, "{}", late.why);
    assert!(late.times.data_lost.unwrap() > duration::parse("200d").unwrap());
    assert!(late.times.detection.unwrap() < duration::parse("10m").unwrap());
    let unseen = play(&format!("{after}events: [{{ signal: {{ signals: all, shows: missing }} }}]\n"));
    assert_eq!(unseen.outcome, Outcome::Unnoticed, "{}", unseen.why);
    // A minor incident is fixed forward, unless people decide otherwise.
    let minor = play("scenario: 1\nsummary: Minor.\nbreach: { trigger: lost }\n");
    assert_eq!((minor.outcome, minor.times.decision.unwrap().as_secs()), (Outcome::RolledBack, 60), "{}", minor.why);
}

#[test]
fn everything_that_is_wrong_is_said_with_its_place_and_its_cure() {
    let cases = [
        ("evnts: []\n", "unknown key `evnts`\n --> scenario.yaml:3:1"),
        (
            "events: [{ slow: { steps: databse_back, times: 2 } }]\n",
            "unknown step `databse_back`\n --> scenario.yaml:3:27",
        ),
        ("events: [{ slow: { steps: databse_back, times: 2 } }]\n", "help: did you mean `database_back`?"),
        ("events: [{ slow: { steps: [dns_back, lok], times: 2 } }]\n", "unknown step `lok`\n --> scenario.yaml:3:38"),
        ("events: [{ slow: { steps: look, times: 2 } }]\n", "no call is sent for `look` (manual)"),
        ("events: [{ slow: { steps: { action: rds.restor }, times: 2 } }]\n", "did you mean `rds.restore`?"),
        (
            "events: [{ slow: { steps: { action: ssm.automation }, times: 2 } }]\n",
            "no step of this plan has the action `ssm.automation`",
        ),
        (
            "events: [{ slow: { steps: all, times: 0 } }]\n",
            "0 times as long is not possible; give a number from 0.01 to 1000",
        ),
        ("events: [{ slow: { steps: all, times: -2 } }]\n", "-2 times as long is not possible"),
        ("events: [{ takes: { steps: dns_back, time: 0s } }]\n", "nothing takes 0s\n --> scenario.yaml:3:44"),
        ("events: [{ takes: { steps: dns_back, time: 40m..20m } }]\n", "a range from 40m to 20m runs backwards"),
        ("events: [{ takes: { steps: dns_back, time: 40m..20m } }]\n", "help: write `20m..40m`"),
        ("events: [{ takes: { steps: dns_back, time: -5m } }]\n", "found the text `-5m`"),
        ("events: [{ kill: {}, at: 25h }]\n", "1d1h is beyond the end: the horizon is 1d2m\n"),
        ("horizon: 1h\nevents: [{ kill: {}, at: 1m..2h }]\n", "2h is beyond the end: the horizon is 1h"),
        ("events: [{ kill: {}, every: 1ms }]\n", "it comes again too often"),
        ("events: [{ slow: { steps: all, times: 2 }, every: 1h }]\n", "what lasts to the end does not come again"),
        ("events: [{ slow: { steps: all, times: 2 }, for: 2h, every: 1h }]\n", "it comes again before it is over"),
        ("halted: [{ do: override, steps: dns_back }]\n", "`override` does not say what it overrides"),
        ("halted: [{ do: skip, subject: errors }]\n", "`skip` has no subject"),
        ("halted: [{ do: resume, steps: dns_back }]\n", "`resume` is about the whole run"),
        ("horizon: 0s\n", "a horizon of 0s leaves no time for anything"),
        ("events: [{ fail: { steps: all, how: throttled }, for: 0s }]\n", "what lasts 0s does nothing"),
        ("events: [{ fail: { steps: all, how: throtled } }]\n", "did you mean `throttled`?"),
        ("events: [{ kill: {}, slow: { steps: all, times: 2 } }]\n", "`kill` and `slow` do not go together"),
        ("events: [{ kil: {} }]\n", "unknown key `kil`\n --> scenario.yaml:3:12"),
        ("events: [{ kill: {}, for: 5m }]\n", "unknown key `for`"),
        ("events: [{ signal: { signals: error, shows: missing } }]\n", "help: did you mean `errors`?"),
        (
            "events: [{ signal: { signals: { kind: metric }, shows: missing } }]\n",
            "no signal of this plan is of the kind `metric`",
        ),
        ("events: [{ signal: { signals: { trigger: hrt }, shows: missing } }]\n", "unknown trigger `hrt`"),
        (
            "events: [{ targets: { steps: database_back, are: healthy } }]\n",
            "`database_back` (rds.restore) gives no traffic to anybody",
        ),
        ("events: [{ kill: {}, at: { sent: pause } }]\n", "no call is sent for `pause` (wait)"),
        ("events: [{ kill: {}, at: { done: paus } }]\n", "help: did you mean `pause`?"),
        ("breach: { trigger: hurts }\n", "unknown trigger `hurts`\n --> scenario.yaml:3:20"),
        ("breach: { after: 30h }\n", "1d6h is beyond the end"),
        ("people: [{ steps: dns_back }]\n", "nobody is ever asked about this"),
        (
            "people: [{ steps: [look, database_back], after: 5m }, { steps: look, answer: deny }]\n",
            "this entry is never reached: entries before it answer for all of these steps",
        ),
        (
            "people: [{ after: 5m }, { steps: look, answer: deny }]\n",
            "this entry is never reached: entry 1 answers everything",
        ),
        (
            "events:\n  - fail: { steps: dns_back, how: denied }\n  - fail: { steps: all, how: throttled }\n",
            "event 1 says `fail` of dns_back from the same moment on\n --> scenario.yaml:5:5",
        ),
        (
            "events:\n  - signal: { signals: errors, shows: healthy }\n    at: 5m\n  - signal: { signals: { kind: alarm }, shows: missing }\n    at: 300s\n",
            "event 1 says `signal` of errors from the same moment on",
        ),
    ];
    for (events, expected) in cases {
        let found = refused(events);
        assert!(found.contains(expected), "{expected}\nis not in\n{found}");
        assert_eq!(found.matches("error: ").count(), 1, "{found}");
    }
    let several =
        refused("breach: { trigger: hurts }\nevents: [{ kill: {}, at: 25h }, { slow: { steps: x, times: 0 } }]\n");
    assert_eq!(several.matches("error: ").count(), 4, "{several}");
    let empty = scenario::load("scenario.yaml", "", &plan(SHOP), None, None).unwrap_err();
    assert!(empty[0].render(false).contains("`scenario` is missing"));
}

fn json(text: &str) -> Value {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true }).unwrap()
}

#[test]
fn decoder_and_schema_agree() {
    let schema = scenario::schema();
    let shipped_schema = std::fs::read_to_string(repository().join("config/scenario.schema.json")).unwrap();
    let shipped_schema: Value = serde_json::from_str(&shipped_schema).unwrap();
    assert!(schema == shipped_schema, "config/scenario.schema.json is not what `belay schema --scenario` prints");
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let files = std::fs::read_dir(repository().join("config/scenarios")).unwrap().map(|file| file.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    assert!(files.len() >= 8);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        script(&text, &plan(SHOP));
        let errors: Vec<String> = validator.iter_errors(&json(&text)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
    let head = "scenario: 1\nsummary: It goes wrong.\n";
    for wrong in [
        "",
        "scenario: 2\nsummary: x\n",
        &format!("{head}evnts: []\n"),
        &format!("{head}events: [{{ kill: {{}}, for: 5m }}]\n"),
        &format!("{head}events: [{{ kil: {{}} }}]\n"),
        &format!("{head}events: [{{ takes: {{ steps: all, time: -5m }} }}]\n"),
        &format!("{head}events: [{{ takes: {{ steps: all, time: 5 }} }}]\n"),
        &format!("{head}events: [{{ fail: {{ steps: all, how: throtled }} }}]\n"),
        &format!("{head}events: [{{ slow: {{ steps: Restore, times: 2 }} }}]\n"),
        &format!("{head}people: [{{ answer: maybe }}]\n"),
    ] {
        assert!(scenario::load("scenario.yaml", wrong, &plan(SHOP), None, None).is_err(), "{wrong}");
        let json = if wrong.is_empty() { Value::Object(Default::default()) } else { json(wrong) };
        assert!(!validator.is_valid(&json), "{wrong}");
    }
}
