//! `belay init` from a Terraform state: no AWS, no credentials. What it does in an account is tested end to end.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};

use crate::{belay, text};

const SECRET: &str = "hunter2";
const LISTENER: &str =
    "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2";

fn record(name: &str, side: &str, weight: u32) -> (&'static str, Value) {
    let record = json!({
        "zone_id": "Z0123456789ABC", "fqdn": name, "type": "A", "set_identifier": side,
        "weighted_routing_policy": [{ "weight": weight }], "records": ["192.0.2.1"],
    });
    ("aws_route53_record", record)
}

fn listener() -> (&'static str, Value) {
    let group = |name: &str, weight: u32| {
        let arn = format!("arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/{name}/73e2d6bc24d8a067");
        json!({ "arn": arn, "weight": weight })
    };
    let forward = json!([{ "target_group": [group("blue", 1), group("green", 0)] }]);
    let balancer = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/shop/50dc6c495c0c9188";
    let listener = json!({
        "arn": LISTENER, "load_balancer_arn": balancer, "port": 443, "protocol": "HTTPS",
        "default_action": [{ "type": "forward", "forward": forward }],
    });
    ("aws_lb_listener", listener)
}

fn database() -> (&'static str, Value) {
    let database =
        json!({ "identifier": "orders", "engine": "postgres", "backup_retention_period": 7, "password": SECRET });
    ("aws_db_instance", database)
}

/// A state file in the folder.
fn state(folder: &Path, resources: &[(&str, Value)]) {
    let resource = |(kind, attributes): &(&str, Value)| json!({ "mode": "managed", "type": kind, "name": "x", "instances": [{ "attributes": attributes, "sensitive_attributes": [] }] });
    let state = json!({ "version": 4, "resources": resources.iter().map(resource).collect::<Vec<_>>() });
    fs::write(folder.join("state.json"), state.to_string()).unwrap();
}

fn shop() -> Vec<(&'static str, Value)> {
    vec![record("www.example.com", "blue", 100), record("www.example.com", "green", 0), listener(), database()]
}

fn init(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let done = belay(folder, &[&["init", "--from-terraform", "state.json"], arguments].concat()).output().unwrap();
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

#[test]
fn a_state_becomes_a_valid_plan_on_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    state(folder.path(), &shop());
    let (code, plan, told) = init(folder.path(), &["--db", "orders"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(plan.contains("instance: orders, from: { time: cutover }"), "{plan}");
    assert!(told.contains("not known, or for a person to decide:") && told.contains("  - the objectives:"), "{told}");
    assert!(!plan.contains(SECRET) && !told.contains(SECRET));
    fs::write(folder.path().join("plan.yaml"), &plan).unwrap();
    belay(folder.path(), &["validate", "plan.yaml"]).assert().code(0);
    assert_eq!(init(folder.path(), &["--db", "orders"]).1, plan, "the same state, the same plan");
}

#[test]
fn a_file_that_is_there_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    state(folder.path(), &shop());
    let (code, plan, told) = init(folder.path(), &["-o", "plan.yaml"]);
    assert_eq!((code, plan.as_str()), (Some(0), ""), "{told}");
    assert!(told.contains("next: belay validate plan.yaml; belay explore plan.yaml"), "{told}");
    let first = fs::read_to_string(folder.path().join("plan.yaml")).unwrap();
    let (code, plan, told) = init(folder.path(), &["-o", "plan.yaml", "--name", "other"]);
    assert_eq!((code, plan.as_str()), (Some(2), ""));
    assert!(told.contains("plan.yaml is there already") && told.contains("next: name another file"), "{told}");
    assert_eq!(fs::read_to_string(folder.path().join("plan.yaml")).unwrap(), first);
    let (code, _, told) = init(folder.path(), &["-o", "no/such/folder/plan.yaml"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("the plan cannot be written to no/such/folder/plan.yaml"), "{told}");
}

#[test]
fn without_a_terminal_a_choice_is_answered_with_the_candidates() {
    let folder = tempfile::tempdir().unwrap();
    let others = [record("api.example.com", "old", 1), record("api.example.com", "new", 0)];
    state(folder.path(), &[shop(), others.to_vec()].concat());
    let (code, plan, told) = init(folder.path(), &["--listener", "shop:443", "-o", "plan file.yaml"]);
    assert_eq!((code, plan.as_str()), (Some(0), ""), "the records do not lead there: {told}");
    assert!(
        told.contains("2 weighted records found and not part of the plan: www.example.com, api.example.com"),
        "{told}"
    );
    let (code, plan, told) = init(folder.path(), &["--name", "shop"]);
    assert_eq!((code, plan.as_str()), (Some(2), ""));
    assert!(told.contains("error: there are 2 weighted records; which are part of the migration?"), "{told}");
    let command = "belay init --name shop --from-terraform state.json --record www.example.com";
    assert!(told.contains(command) && told.contains("`--record none` leaves it out"), "{told}");
    let (code, plan, told) = init(folder.path(), &["--record", "shop.example.com", "--json"]);
    assert_eq!(code, Some(2), "{told}");
    let document: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(document["error"]["what"], "there is no weighted record shop.example.com");
    assert_eq!(document["error"]["commands"][0], "belay init --from-terraform state.json --record www.example.com");
}

#[test]
fn of_many_candidates_some_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let records: Vec<_> = (0..10_000).map(|n| record(&format!("n{n:05}.example.com"), "a", 1)).collect();
    state(folder.path(), &records);
    let (code, plan, told) = init(folder.path(), &[]);
    assert_eq!((code, plan.as_str()), (Some(2), ""));
    assert!(told.lines().count() < 70, "{told}");
    assert!(told.contains("there are 10000 weighted records") && told.contains("9980 more are not listed"), "{told}");
}

#[test]
fn a_program_gets_one_document() {
    let folder = tempfile::tempdir().unwrap();
    state(folder.path(), &shop());
    let (code, answer, told) = init(folder.path(), &["--json", "--name", "shop-cutover", "-o", "plan.yaml"]);
    assert_eq!((code, told.as_str()), (Some(0), ""));
    let document: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&document["migration"], &document["file"]), (&json!("shop-cutover"), &json!("plan.yaml")));
    assert_eq!(document["plan"], fs::read_to_string(folder.path().join("plan.yaml")).unwrap());
    assert!(document["not_known"].as_array().unwrap().len() > 1, "{document:#}");
    let left_out = document["left_out"][0].as_str().unwrap();
    assert!(left_out.contains("since a restore loses data: orders"), "{left_out}");
}

#[test]
fn bad_input_is_answered_with_what_would_be_right() {
    let folder = tempfile::tempdir().unwrap();
    let broken = format!("{{\n  \"password\": \"{SECRET}\"\n  \"version\": 4\n}}\n");
    for (content, expected) in [
        (Some(broken.as_str()), "state.json: line 3, column 3: it is not JSON"),
        (Some("{\"version\": 3}"), "state.json: it is a Terraform state of version 3, and Belay reads version 4"),
        (Some("{\"version\": 4, \"resources\": []}"), "nothing was found that a plan could put back"),
        (None, "the Terraform state state.json cannot be read"),
    ] {
        let path = folder.path().join("state.json");
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let (code, plan, told) = init(folder.path(), &[]);
        assert_eq!((code, plan.as_str()), (Some(2), ""), "{told}");
        assert!(told.contains(expected) && told.contains("next: "), "{told}");
        assert!(!told.contains(SECRET), "{told}");
    }
    state(folder.path(), &shop());
    for (arguments, expected) in [
        (["--name", "Shop"], "begins with a small letter"),
        (["--region", "eu_west"], "a region is a name such as `eu-west-1`"),
        (["--db", "order"], "there is no database order"),
    ] {
        let (code, _, told) = init(folder.path(), &arguments);
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains(expected), "{told}");
    }
}

/// Names that no AWS would give: the plan names the culprit, and nothing is written.
#[test]
fn what_no_plan_could_name_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    state(folder.path(), &[record("a b\u{1b}[2J.example.com", "x\u{202e}", 1)]);
    let (code, plan, told) = init(folder.path(), &["-o", "plan.yaml"]);
    assert_eq!((code, plan.as_str()), (Some(2), ""), "{told}");
    assert!(told.contains("a b␛[2j.example.com cannot be part of a plan"), "{told:?}");
    assert!(!told.contains('\u{1b}') && !told.contains('\u{202e}'), "{told:?}");
    assert!(!folder.path().join("plan.yaml").exists());
}

/// Standard input and standard error are a terminal; what is asked, and the plan.
#[test]
fn on_a_terminal_a_person_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let others = [record("api.example.com", "old", 1), record("api.example.com", "new", 0)];
    state(folder.path(), &[shop(), others.to_vec()].concat());
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let screen = File::options().read(true).write(true).open(name).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_belay"));
    command.args(["init", "--from-terraform", "state.json"]).current_dir(folder.path());
    command.stdin(screen.try_clone().unwrap()).stdout(Stdio::piped()).stderr(screen);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut terminal = File::from(terminal);
    // Typed ahead: an answer that is none, the record, then no database.
    terminal.write_all(b"seven\n2\nnone\n").unwrap();
    let read = thread::spawn(move || {
        let mut bytes = Vec::new();
        // Ends with an error when nobody has the other side any more.
        let _ = terminal.read_to_end(&mut bytes);
        text(&bytes)
    });
    let mut plan = String::new();
    child.stdout.take().unwrap().read_to_string(&mut plan).unwrap();
    let code = child.wait().unwrap().code();
    let shown = read.join().unwrap();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("there are 2 weighted records; which are part of the migration?"), "{shown}");
    assert!(shown.contains("`seven` is no answer to this"), "{shown}");
    assert!(shown.contains("there is a database; is it part of the migration?"), "{shown}");
    assert!(plan.contains("record: api.example.com") && !plan.contains("www.example.com"), "{plan}");
    assert!(!plan.contains("rds.restore"), "{plan}");
}

/// The flag that fits several is replaced, and what is printed can be run.
#[test]
fn what_an_ambiguous_flag_is_answered_with_can_be_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut second = listener();
    second.1["arn"] = json!(LISTENER.replace("f2f7dc8efc522ab2", "a2f7dc8efc522ab3"));
    second.1["port"] = json!(80);
    state(folder.path(), &[listener(), second]);
    let (code, _, said) = init(folder.path(), &["--record", "none", "--listener", "shop", "--alarm", "none"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--listener shop fits 2 listeners"), "{said}");
    assert!(said.contains("--record none --alarm none --listener shop:80"), "{said}");
    let (code, _, said) = init(folder.path(), &["--record", "none", "--alarm", "none", "--listener", "shop:80"]);
    assert_eq!(code, Some(0), "{said}");
}
