//! `belay drill --simulate`, from outside.

use std::{fs, net::TcpListener};

use serde_json::Value;
use tempfile::TempDir;

use crate::{belay, catalogue, repository, text};

/// Runs `belay drill PLAN --simulate` with more arguments in an empty folder.
fn drill(folder: &TempDir, plan: &str, more: &[&str], code: i32) -> (String, String) {
    let plan = repository(plan).display().to_string();
    let arguments: Vec<&str> = [&["drill", &plan, "--simulate"][..], more].concat();
    let output = belay(folder.path(), &arguments).assert().code(code).get_output().clone();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_same_seed_gives_the_same_journal_and_another_seed_another() {
    let folder = tempfile::tempdir().unwrap();
    let journal = |seed: &str, file: &str| {
        drill(&folder, "config/examples/blue-green-web.yaml", &["--seed", seed, "--journal", file], 0);
        fs::read_to_string(folder.path().join(file)).unwrap()
    };
    let one = journal("1", "one.jsonl");
    assert!(one == journal("1", "again.jsonl"));
    assert!(one != journal("2", "other.jsonl"));
    assert!(one.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[test]
fn what_is_outside_the_objectives_is_a_no() {
    let folder = tempfile::tempdir().unwrap();
    let slow = repository("config/scenarios/restore-takes-twice-as-long.yaml").display().to_string();
    let (shown, _) = drill(&folder, "config/demo.yaml", &["--scenario", &slow], 3);
    for expected in
        ["Timeline, from the breach", "customers_hurt: FIRED", "more than the rto of 30m 00s", "outside the objectives"]
    {
        assert!(shown.contains(expected), "{expected}\nis not in\n{shown}");
    }
    let changed = repository("config/scenarios/somebody-changes-the-listener.yaml").display().to_string();
    let (shown, _) = drill(&folder, "config/demo.yaml", &["--scenario", &changed, "--json"], 3);
    let report: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(report["rehearsals"][0]["report"]["outcome"], "halted");
    assert_eq!(report["within_objectives"], false);
}

#[test]
fn many_runs_are_counted_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let many = ["--runs", "8", "--json", "--svg", "recovery.svg"];
    let (shown, _) = drill(&folder, "config/examples/blue-green-web.yaml", &many, 0);
    let found: Value = serde_json::from_str(&shown).unwrap();
    let found = &found["rehearsals"][0]["distribution"];
    assert_eq!((&found["runs"], &found["within_objectives"]), (&8.into(), &8.into()));
    let recovery = |key: &str| found["recovery"][key].as_f64().unwrap();
    assert!(recovery("p50_s") <= recovery("p95_s") && recovery("p95_s") <= recovery("worst_s"));
    let svg = fs::read_to_string(folder.path().join("recovery.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("8 of 8 within the objectives"));
    let (shown, _) = drill(&folder, "config/examples/blue-green-web.yaml", &["--runs", "8"], 0);
    assert!(
        shown.contains("8 of 8 runs within the objectives (100%)") && shown.contains("the worst, again:"),
        "{shown}"
    );
}

#[test]
fn without_objectives_nothing_is_within_them() {
    let folder = tempfile::tempdir().unwrap();
    let plan = fs::read_to_string(repository("config/examples/blue-green-web.yaml")).unwrap();
    let plan: String =
        plan.lines().filter(|line| !line.starts_with("objectives:")).map(|line| format!("{line}\n")).collect();
    fs::write(folder.path().join("plan.yaml"), plan).unwrap();
    for (more, verdict) in [
        (&[][..], "done; the plan has no objectives"),
        (&["--runs", "2"][..], "2 of 2 runs rolled back (100%); the plan has no objectives"),
    ] {
        let arguments = [&["drill", "plan.yaml", "--simulate"][..], more].concat();
        let output = belay(folder.path(), &arguments).assert().code(0).get_output().clone();
        let shown = text(&output.stdout);
        assert!(shown.contains(verdict) && !shown.contains("within the objectives"), "{shown}");
    }
}

#[test]
fn each_step_is_measured_and_scenarios_stand_beside_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = |name: &str| repository(&format!("config/scenarios/{name}.yaml")).display().to_string();
    let (slow, killed) = (scenario("restore-takes-twice-as-long"), scenario("daemon-is-killed"));
    let more = ["--runs", "4", "--scenario", &slow, "--scenario", &killed];
    let (shown, _) = drill(&folder, "config/demo.yaml", &more, 3);
    for expected in ["p50", "(longest)", "usual", "within the objectives", "total p95"] {
        assert!(shown.contains(expected), "{expected}\nis not in\n{shown}");
    }
    let (shown, _) = drill(&folder, "config/demo.yaml", &[&more[..], &["--json"]].concat(), 3);
    let found: Value = serde_json::from_str(&shown).unwrap();
    let step = &found["rehearsals"][0]["distribution"]["steps"]["database_back"];
    let p95 = |phase: &str| step[phase]["p95_s"].as_f64().unwrap();
    assert!(step["longest"] == true && p95("changed") <= p95("took") && p95("changed") > 600.0, "{step:#}");
}

const FALLS_BACK: &str = r#"
belay: 1
migration: shop
aws: { account: "111122223333", region: eu-west-1 }
signals:
  errors: { alarm: shop-5xx }
  blue_ready: { target_health: { target_group: shop-blue, at_least: 2 } }
triggers: { hurt: { when: errors, for: 30s, severity: critical } }
steps:
  listener_back:
    action: alb.forward
    with: { listener: "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2" }
    to: { shop-blue: 100, shop-green: 0 }
    require: [blue_ready]
    on_failure: { fallback: by_hand }
  by_hand: { action: manual, with: { instructions: "Move the traffic in the console." } }
  dns_back:
    action: route53.weights
    with: { zone: Z0123456789ABC, record: shop.example.com, type: A }
    to: { blue: 100, green: 0 }
    require: [blue_ready]
  database_back:
    needs: [dns_back]
    action: rds.restore
    with: { instance: shop, from: { snapshot: shop-before } }
    loses_data: true
    approve: { role: lead, within: 1h }
"#;

/// Who was waited for, how long, what fell back, and which steps make a run as long as it is.
#[test]
fn a_bottleneck_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plan.yaml"), FALLS_BACK).unwrap();
    let scenario = "scenario: 1\nsummary: The listener is denied, and the lead is slow.\npeople: [{ steps: database_back, after: 10m..20m }]\n\
                    events: [{ fail: { steps: listener_back, how: denied } }]\n";
    fs::write(folder.path().join("slow.yaml"), scenario).unwrap();
    let more = ["drill", "plan.yaml", "--simulate", "--scenario", "slow.yaml", "--runs", "5", "--svg", "runs.svg"];
    let found = document(&folder, &[&more[..], &["--json"]].concat(), 0);
    let steps = &found["rehearsals"][0]["distribution"]["steps"];
    let (listener, database) = (&steps["listener_back"], &steps["database_back"]);
    assert_eq!(
        (&listener["failed"], &listener["fell_back"], &database["fell_back"]),
        (&5.into(), &5.into(), &0.into())
    );
    assert_eq!((&database["asked"], &steps["by_hand"]["asked"]), (&"lead".into(), &"operator".into()));
    let people = |key: &str| database["people"][key].as_f64().unwrap();
    assert!((600.0..1200.0).contains(&people("p50_s")) && people("worst_s") <= 1200.0, "{database:#}");
    assert!(database["interlocks"].is_null() && steps["dns_back"]["interlocks"].is_object(), "{steps:#}");
    let on_the_way =
        ["listener_back", "by_hand", "dns_back", "database_back"].map(|step| steps[step]["critical"].as_u64());
    assert_eq!(on_the_way, [Some(0), Some(0), Some(5), Some(5)]);
    assert!(steps["dns_back"]["ended"]["p95_s"].as_f64() < database["ended"]["p50_s"].as_f64());
    let svg = fs::read_to_string(folder.path().join("runs.svg")).unwrap();
    assert!(
        svg.contains("Steps: The listener is denied")
            && svg.contains("class=\"slow till95\"")
            && svg.contains("class=\"quick\"")
    );
    let shown = belay(folder.path(), &more).assert().code(0).get_output().clone();
    let shown = text(&shown.stdout);
    let head = shown.lines().find(|line| line.trim_start().starts_with("step ")).unwrap();
    assert!(head.contains("fell back") && head.contains("waits for") && !head.contains("skipped"), "{shown}");
    let row = |step: &str| shown.lines().find(|line| line.trim_start().starts_with(&format!("{step} "))).unwrap();
    assert!(row("database_back").contains("lead") && row("listener_back").contains("100%"), "{shown}");
}

/// The timebox runs out with nobody answering, and what the rule says then follows, to its end: as `config/README.md` has it.
#[test]
fn a_night_in_which_nobody_picks_up_the_phone() {
    let printed = fs::read_to_string(repository("config/README.md")).unwrap();
    let line =
        printed.lines().find(|line| line.starts_with("belay drill config/examples/decision-matrix.yaml")).unwrap();
    let arguments: Vec<&str> = line.split(' ').skip(1).collect();
    assert!(arguments.contains(&"config/scenarios/nobody-picks-up-the-phone.yaml"), "{line}");
    let output = belay(&repository(""), &arguments).assert().code(0).get_output().clone();
    let shown = text(&output.stdout);
    let mut rest = shown.as_str();
    for expected in [
        "orders_fail: FIRED",
        "decided: roll back: the time that people had was over",
        "incident closed: rolled back",
        "within the objectives",
    ] {
        let at = rest.find(expected).unwrap_or_else(|| panic!("{expected}\nis not in, or not in this order:\n{shown}"));
        rest = &rest[at..];
    }
    assert!(!shown.contains("warning: entry"), "{shown}");
    let json = belay(&repository(""), &[&arguments[..], &["--json"]].concat()).assert().code(0).get_output().clone();
    let report: Value = serde_json::from_str(&text(&json.stdout)).unwrap();
    let report = &report["rehearsals"][0]["report"];
    assert_eq!(
        report["times"]["decision_s"], 300.0,
        "nobody decided in the five minutes that the rule gives: {report:#}"
    );
    assert_eq!(report["steps"].as_object().unwrap().keys().collect::<Vec<_>>(), ["traffic_back"]);
}

#[test]
fn a_scenario_that_does_not_fit_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("wrong.yaml");
    fs::write(&scenario, "scenario: 1\nsummary: x\nevents: [{ slow: { steps: databse_back, times: 2 } }]\n").unwrap();
    let scenario = scenario.display().to_string();
    let (_, said) = drill(&folder, "config/demo.yaml", &["--scenario", &scenario], 2);
    assert!(said.contains("unknown step `databse_back`") && said.contains("did you mean `database_back`?"), "{said}");
    let (_, said) = drill(&folder, "config/demo.yaml", &["--scenario", "nowhere.yaml"], 2);
    assert!(said.contains("the scenario nowhere.yaml cannot be read"), "{said}");
    drill(&folder, "config/demo.yaml", &["--svg", "x.svg"], 2);
    drill(&folder, "config/demo.yaml", &["--runs", "0"], 2);
    drill(&folder, "config/demo.yaml", &["--runs", "5", "--journal", "x"], 2);
    drill(&folder, "config/demo.yaml", &["--fire", "customer_hurt"], 2);
}

const PHASES: [&str; 3] = ["copy", "cutover", "soak"];

/// A step in each phase, which leaves a file; what is watched is a port of this host that is open.
fn phased(folder: &TempDir) -> TcpListener {
    let open = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let step = |phase: &str| {
        format!("  in_{phase}: {{ action: command, with: {{ argv: [touch, {phase}] }}, during: [{phase}] }}\n")
    };
    let plan = format!(
        "belay: 1\nmigration: shop\nobjectives: {{ rto: 60m }}\nphases: {{ copy: {{}}, cutover: {{}}, soak: {{}} }}\n\
         signals: {{ port: {{ tcp: {{ address: \"{}\" }} }} }}\ntriggers: {{ hurt: {{ when: port, for: 1s, severity: critical }} }}\n\
         steps:\n{}",
        open.local_addr().unwrap(),
        PHASES.map(step).concat()
    );
    fs::write(folder.path().join("plan.yaml"), plan).unwrap();
    open
}

#[track_caller]
fn document(folder: &TempDir, arguments: &[&str], code: i32) -> Value {
    let done = belay(folder.path(), arguments).assert().code(code).get_output().clone();
    serde_json::from_str(text(&done.stdout).lines().next_back().unwrap_or_default())
        .or_else(|_| serde_json::from_str(&text(&done.stdout)))
        .unwrap()
}

fn names(object: &Value) -> Vec<&str> {
    object.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn each_phase_is_explored_and_drilled_by_itself() {
    for phase in PHASES {
        let folder = tempfile::tempdir().unwrap();
        let _open = phased(&folder);
        let own = format!("in_{phase}");
        let found = document(&folder, &["explore", "plan.yaml", "--phase", phase, "--json"], 0);
        assert_eq!(found["phase"], phase);
        let ends = found["ends"].as_array().unwrap();
        assert!(!ends.is_empty() && ends.iter().all(|end| names(&end["steps"]) == [&own]), "{phase}: {ends:#?}");

        let played = document(&folder, &["drill", "plan.yaml", "--simulate", "--phase", phase, "--json"], 0);
        let report = &played["rehearsals"][0]["report"];
        assert_eq!(
            (names(&report["steps"]), &report["outcome"]),
            (vec![own.as_str()], &"rolled_back".into()),
            "{phase}"
        );

        let arguments = ["drill", "plan.yaml", "--phase", phase, "--reason", "a test", "--json"];
        let done = belay(folder.path(), &arguments).assert().code(0).get_output().clone();
        let records: Vec<Value> = text(&done.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |kind: &str| records.iter().filter(|record| record["event"]["type"] == kind).collect::<Vec<_>>();
        assert_eq!(of("run_started")[0]["event"]["phase"], phase);
        assert_eq!(
            of("cutover_marked").len(),
            usize::from(phase != "copy"),
            "{phase}: a copy comes before the cutover"
        );
        let touched = PHASES.map(|phase| folder.path().join(phase).exists());
        assert_eq!(touched, PHASES.map(|other| other == phase), "{phase}");
    }
}

#[test]
fn without_a_phase_the_cutover_is_rehearsed_and_an_unknown_one_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let _open = phased(&folder);
    assert_eq!(document(&folder, &["explore", "plan.yaml", "--json"], 0)["phase"], "cutover");
    // Readiness searches the same.
    let done = belay(folder.path(), &["check", "plan.yaml", "--json"]).output().unwrap();
    let checked: Value = serde_json::from_slice(&done.stdout).unwrap();
    let search = checked["checks"].as_array().unwrap().iter().find(|check| check["id"] == "explore").unwrap();
    assert!(search["found"].as_str().unwrap().contains("every way ends well"), "{search:#}");
    document(&folder, &["drill", "plan.yaml", "--reason", "a test", "--json"], 0);
    assert_eq!(PHASES.map(|phase| folder.path().join(phase).exists()), [false, true, false]);
    let commands: [&[&str]; 4] = [
        &["explore", "plan.yaml"],
        &["drill", "plan.yaml", "--simulate"],
        &["drill", "plan.yaml", "--reason", "a test"],
        &["dry-run", "plan.yaml"],
    ];
    for command in commands {
        let unknown = [command, &["--phase", "soaking"]].concat();
        let done = belay(folder.path(), &unknown).assert().code(2).get_output().clone();
        let said = text(&done.stderr);
        assert!(said.contains("no phase soaking") && said.contains("copy, cutover, soak"), "{command:?}: {said}");
    }
}

/// What people read of usual durations is what rehearsals go by.
#[test]
fn the_table_of_usual_times_is_that_of_the_actions() {
    let page = fs::read_to_string(repository("config/scenarios/README.md")).unwrap();
    let table = page.split("| action | least, usual, most | source |").nth(1).unwrap();
    let seconds = |text: &str| belay_plan::duration::parse(text).unwrap().as_secs();
    let row = |line: &str| {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let (action, times) = (cells.next()?.strip_prefix('`')?.strip_suffix('`')?, cells.next()?);
        Some((action.to_owned(), times.split(", ").map(seconds).collect::<Vec<_>>()))
    };
    let told: Vec<_> =
        table.lines().skip(2).map_while(|line| line.starts_with('|').then(|| row(line))).flatten().collect();
    let known = catalogue().actions.into_iter().filter_map(|spec| {
        let usual = spec.usual?;
        Some((spec.name.to_owned(), [usual.least_s, usual.usual_s, usual.most_s].map(u64::from).to_vec()))
    });
    assert_eq!(told, known.collect::<Vec<_>>());
}
