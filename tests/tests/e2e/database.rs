//! `rds.restore` through the binary: real rows in fakecloud, settings and tags in moto.

use std::collections::BTreeMap;
use std::thread;

use belay_tests::{
    Belay, Boto, Call, Emulator, Finished, Kind, Outcome, Process, Proxy, When, World, http_get, http_post, wait_until,
};
use serde_json::{Value, json};

/// The longest name that RDS allows.
const NAME_CHARS_MAX: usize = 63;

pub(crate) const RESTORE: &str = "RestoreDBInstanceFromDBSnapshot";
pub(crate) const MODIFY: &str = "ModifyDBInstance";

/// The plan of a restore. `steps` and `signals` are more of them, indented by two.
pub(crate) fn plan(instance: &str, snapshot: &str, signals: &str, steps: &str) -> String {
    format!(
        "belay: 1
migration: schema-change
aws: {{ account: \"123456789012\", region: us-east-1 }}
signals:
  database_ready: {{ rds_status: {{ instance: {instance} }} }}
{signals}
steps:
{steps}
  database_back:
    action: rds.restore
    with: {{ instance: {instance}, from: {{ snapshot: {snapshot} }}, without: [resource_id] }}
    loses_data: true
    retry: {{ backoff: 100ms..500ms }}
    verify: [database_ready]
confirm: [database_ready]
"
    )
}

/// The parameters of a query-protocol call.
pub(crate) fn parameters(call: &Call) -> BTreeMap<String, String> {
    form_urlencoded::parse(call.body.as_bytes()).into_owned().collect()
}

/// The calls that AWS accepted, whether or not the caller was told.
pub(crate) fn accepted(calls: &[Call]) -> Vec<&Call> {
    let is_accepted = |call: &&Call| matches!(call.outcome, Outcome::Answered(200) | Outcome::Lost(200));
    calls.iter().filter(is_accepted).collect()
}

/// From which name to which a call renames, if it does.
pub(crate) fn renames(call: &Call) -> Option<(String, String)> {
    Some((call.parameter("DBInstanceIdentifier")?, call.parameter("NewDBInstanceIdentifier")?))
}

/// Nothing was deleted, and nothing was renamed onto a name that was taken.
#[track_caller]
pub(crate) fn assert_nothing_is_lost(calls: &[Call]) {
    for call in calls {
        assert!(!call.action.starts_with("Delete"), "{call:?}");
    }
    let mut freed = Vec::new();
    for call in accepted(calls) {
        let Some((from, to)) = renames(call) else { continue };
        assert!(from.len() <= NAME_CHARS_MAX && to.len() <= NAME_CHARS_MAX, "{from} to {to}");
        // The only name that is taken at first is the plan's; it is free once its owner was moved away.
        assert!(to.contains("-failed-") || freed.contains(&to), "{to} was still taken: {calls:#?}");
        freed.push(from);
    }
}

/// The run that a `belay run --json` made, as its last line tells it.
#[track_caller]
pub(crate) fn last_line(done: &Finished) -> Value {
    done.json_lines().pop().unwrap_or_else(|| panic!("no line\n{done}"))
}

#[track_caller]
pub(crate) fn run_id(done: &Finished) -> String {
    let run = last_line(done);
    run["id"].as_str().unwrap_or_else(|| panic!("no id in {run:#}\n{done}")).to_owned()
}

/// Rolls back in the foreground, to its end.
#[track_caller]
pub(crate) fn roll_back(belay: &Belay, plan: &str) -> Finished {
    belay.run(&["run", plan, "--reason", "test", "--json"])
}

#[test]
fn the_rows_of_the_snapshot_are_back_and_the_failed_database_is_kept() {
    let aws = Emulator::fakecloud();
    let world = World::seed(aws.url(), &["--prefix", "shop", "--database", "--row", "one", "--row", "two"]);
    let (instance, snapshot) = (world.text("/database/instance"), world.text("/database/snapshot"));
    world.set_some_weights(0, 100, &["dns"]);
    assert_eq!(world.write_rows(instance, "orders", &["bad", "worse"]), ["one", "two", "bad", "worse"]);

    // The server and its port move with a rename in fakecloud: what answers there afterwards is the kept database.
    let signals = format!("  kept_answers: {{ tcp: {{ address: \"127.0.0.1:{}\" }} }}", world.json["database"]["port"]);
    let steps = format!(
        "  dns_back:
    needs: [database_back]
    action: route53.weights
    with: {{ zone: {}, record: {}, type: A }}
    to: {{ {}: 100, {}: 0 }}
    require: [database_ready]
    verify: [kept_answers]",
        world.text("/dns/zone"),
        world.text("/dns/record"),
        world.text("/dns/sets/blue/id"),
        world.text("/dns/sets/green/id"),
    );
    let proxy = Proxy::to(aws.url());
    let belay = Belay::at(proxy.url());
    let plan = belay.write("plan.yaml", &plan(instance, snapshot, &signals, &steps));
    let done = roll_back(&belay, &plan);
    assert_eq!(done.code, 0, "{done}");
    let failed = format!("{instance}-failed-{}", run_id(&done));

    assert_eq!(world.rows(instance, "orders"), ["one", "two"]);
    assert_eq!(world.rows(&failed, "orders"), ["one", "two", "bad", "worse"]);
    assert_eq!(world.databases().as_array().map(Vec::len), Some(2), "{:#}", world.databases());
    assert_eq!(world.dns_weights()["blue"], 100);

    let calls = proxy.mutating_calls();
    assert_nothing_is_lost(&calls);
    let restored = format!("{instance}-restored-{}", run_id(&done));
    let renamed: Vec<(String, String)> = calls.iter().filter_map(renames).collect();
    assert_eq!(renamed, [(instance.to_owned(), failed), (restored.clone(), instance.to_owned())]);
    let actions: Vec<&str> = calls.iter().map(|call| call.action.as_str()).collect();
    assert_eq!((actions[0], *actions.last().unwrap()), (RESTORE, "ChangeResourceRecordSets"), "{actions:?}");

    // fakecloud ignores some of what it is told: so look at the call.
    let told = parameters(&calls[0]);
    let name = |key: &str| told.get(key).map(String::as_str);
    assert_eq!(name("DBSnapshotIdentifier"), Some(snapshot));
    assert_eq!(name("DBInstanceIdentifier"), Some(restored.as_str()));
    assert_eq!(name("DBInstanceClass"), Some("db.t3.micro"));
    assert_eq!(name("BackupRetentionPeriod"), Some("3"));
    assert_eq!(name("DeletionProtection"), Some("true"));
    assert_eq!(name("CopyTagsToSnapshot"), Some("true"));
    assert_eq!(tags(&told)["team"], "shop");
    assert_eq!(tags(&told)["belay:run"], run_id(&done));
}

/// The tags that a call gives.
fn tags(parameters: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let keys = parameters.iter().filter(|(name, _)| name.starts_with("Tags.") && name.ends_with(".Key"));
    keys.map(|(name, key)| (key.clone(), parameters[&name.replace(".Key", ".Value")].clone())).collect()
}

/// An instance in moto that has settings of its own, and a snapshot of it.
pub(crate) struct Instance {
    pub(crate) boto: Boto,
    pub(crate) name: String,
    pub(crate) snapshot: String,
    before: Value,
}

impl Instance {
    pub(crate) fn create(endpoint: &str, name: &str) -> Self {
        let instance = Self {
            boto: Boto::at(endpoint),
            name: name.to_owned(),
            snapshot: format!("{name}-before"),
            before: json!({}),
        };
        let identifier = json!({ "DBInstanceIdentifier": name });
        let created = json!({
            "Engine": "postgres", "EngineVersion": "16.4", "DBInstanceClass": "db.t3.micro", "AllocatedStorage": 20, "Port": 6543,
            "MasterUsername": "belay", "MasterUserPassword": "not-a-secret",
            "Tags": [{ "Key": "team", "Value": "shop" }, { "Key": "cost-centre", "Value": "42" }],
        });
        instance.call("create_db_instance", &merged(&identifier, &created));
        instance
            .call("create_db_snapshot", &merged(&identifier, &json!({ "DBSnapshotIdentifier": instance.snapshot })));
        // moto restores the settings that the snapshot's source had at the time: so they are others by now.
        let group = format!("{name}-tuned");
        let group = group.replace("--", "-");
        instance.call(
            "create_db_parameter_group",
            &json!({ "DBParameterGroupName": group, "DBParameterGroupFamily": "postgres16", "Description": "test" }),
        );
        let tuned = json!({
            "ApplyImmediately": true, "DBInstanceClass": "db.m6g.large", "MultiAZ": true,
            "BackupRetentionPeriod": 9, "PreferredBackupWindow": "02:00-03:00", "DBParameterGroupName": group,
            "PreferredMaintenanceWindow": "sun:05:00-sun:06:00", "DeletionProtection": true, "CopyTagsToSnapshot": true,
            "EnableIAMDatabaseAuthentication": true, "AutoMinorVersionUpgrade": false, "MaxAllocatedStorage": 100,
            "CloudwatchLogsExportConfiguration": { "EnableLogTypes": ["postgresql"] }, "MonitoringInterval": 30,
            "MonitoringRoleArn": "arn:aws:iam::123456789012:role/rds-monitoring-role",
        });
        instance.call("modify_db_instance", &merged(&identifier, &tuned));
        let before = instance.find(name).expect("it was just created");
        Self { before, ..instance }
    }

    #[track_caller]
    fn call(&self, method: &str, arguments: &Value) -> Value {
        let answer = self.boto.call("rds", method, arguments);
        assert_eq!(answer["error"], Value::Null, "{method}: {answer}");
        answer
    }

    pub(crate) fn find(&self, name: &str) -> Option<Value> {
        let answer = self.boto.call("rds", "describe_db_instances", &json!({ "DBInstanceIdentifier": name }));
        answer["DBInstances"].get(0).cloned()
    }

    /// How many instances were made of this one, itself included.
    fn count(&self) -> usize {
        let all = self.call("describe_db_instances", &json!({}));
        let stem = self.name.as_str();
        let names = all["DBInstances"].as_array().into_iter().flatten().map(|found| &found["DBInstanceIdentifier"]);
        names.filter(|name| name.as_str().is_some_and(|name| name.starts_with(stem))).count()
    }

    /// Exactly one restored instance has the name, and the one that had it is kept.
    #[track_caller]
    pub(crate) fn assert_replaced(&self, run: &str, calls: &[Call]) {
        assert_nothing_is_lost(calls);
        assert_eq!(self.count(), 2);
        let failed = self.find(&format!("{}-failed-{run}", self.name)).expect("the failed database is kept");
        let now = self.find(&self.name).expect("the name is taken again");
        // moto gives a restored instance the resource id of its source: the tags tell them apart.
        assert_eq!(failed["TagList"], self.before["TagList"]);
        assert!(has_tag(&now, "belay:run", run), "{now:#}");
        let accepted = accepted(calls);
        assert_eq!(accepted.iter().filter(|call| call.action == RESTORE).count(), 1);
        assert_eq!(accepted.iter().filter_map(|call| renames(call)).count(), 2);
    }
}

fn has_tag(instance: &Value, key: &str, value: &str) -> bool {
    instance["TagList"].as_array().into_iter().flatten().any(|tag| tag["Key"] == key && tag["Value"] == value)
}

fn merged(one: &Value, other: &Value) -> Value {
    let fields = [one, other].into_iter().filter_map(Value::as_object).flatten();
    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[test]
fn settings_and_tags_are_carried_over() {
    let aws = Emulator::moto();
    let instance = Instance::create(aws.url(), "checkout");
    let proxy = Proxy::to(aws.url());
    let belay = Belay::at(proxy.url());
    let plan = belay.write("plan.yaml", &plan("checkout", &instance.snapshot, "", ""));
    let done = roll_back(&belay, &plan);
    assert_eq!(done.code, 0, "{done}");
    instance.assert_replaced(&run_id(&done), &proxy.calls());

    let calls = proxy.mutating_calls();
    let told = parameters(&calls[0]);
    for (name, value) in [
        ("DBInstanceClass", "db.m6g.large"),
        ("Port", "6543"),
        ("BackupRetentionPeriod", "9"),
        ("PreferredBackupWindow", "02:00-03:00"),
        ("DeletionProtection", "true"),
        ("CopyTagsToSnapshot", "true"),
        ("MultiAZ", "true"),
        ("EnableIAMDatabaseAuthentication", "true"),
        ("AutoMinorVersionUpgrade", "false"),
        ("DBParameterGroupName", "checkout-tuned"),
        ("CACertificateIdentifier", "rds-ca-default"),
    ] {
        assert_eq!(told.get(name).map(String::as_str), Some(value), "{name} in {told:#?}");
    }
    assert!(told.iter().any(|(name, value)| name.starts_with("EnableCloudwatchLogsExports") && value == "postgresql"));
    let given = tags(&told);
    assert_eq!((given["team"].as_str(), given["cost-centre"].as_str()), ("shop", "42"));
    // What a restore does not take comes by a call of its own: before the name does, or, where it serves without, after it.
    let carried = parameters(&calls[1]);
    assert_eq!((calls[1].action.as_str(), carried["MaxAllocatedStorage"].as_str()), (MODIFY, "100"));
    let carried = parameters(&calls[4]);
    assert_eq!(calls[4].action, MODIFY);
    for (name, value) in [
        ("ApplyImmediately", "true"),
        ("PreferredMaintenanceWindow", "sun:05:00-sun:06:00"),
        ("MonitoringInterval", "30"),
        ("MonitoringRoleArn", "arn:aws:iam::123456789012:role/rds-monitoring-role"),
    ] {
        assert_eq!(carried.get(name).map(String::as_str), Some(value), "{name} in {carried:#?}");
    }
    // The replaced one keeps its own protection and tags.
    let failed = instance.find(&format!("checkout-failed-{}", run_id(&done))).unwrap();
    assert_eq!((&failed["DeletionProtection"], &failed["BackupRetentionPeriod"]), (&json!(true), &json!(9)));
}

#[test]
fn names_stay_within_what_rds_allows() {
    let aws = Emulator::moto();
    let name = format!("shop-{}-01", "orders-".repeat(8));
    let name = name.replace("--", "-");
    assert_eq!(name.len(), NAME_CHARS_MAX);
    let instance = Instance::create(aws.url(), &name);
    let proxy = Proxy::to(aws.url());
    let belay = Belay::at(proxy.url());
    let plan = belay.write("plan.yaml", &plan(&name, &instance.snapshot, "", ""));
    let done = roll_back(&belay, &plan);
    assert_eq!(done.code, 0, "{done}");
    assert_nothing_is_lost(&proxy.calls());
    let (_, failed) = proxy.calls().iter().find_map(renames).expect("it was renamed");
    assert!(failed.ends_with(&format!("-failed-{}", run_id(&done))), "{failed}");
    assert_eq!(instance.find(&failed).unwrap()["TagList"], instance.before["TagList"]);
    assert!(has_tag(&instance.find(&name).unwrap(), "belay:run", &run_id(&done)));
}

/// The mutating calls of a restore in moto: what they are for, which they are, and the how many-th of its kind.
pub(crate) const DANCE: [(&str, &str, usize); 5] = [
    ("restore", RESTORE, 1),
    ("carry", MODIFY, 1),
    ("rename-failed", MODIFY, 2),
    ("rename-restored", MODIFY, 3),
    ("carry-after", MODIFY, 4),
];

#[test]
fn what_goes_wrong_with_one_call_leaves_one_effect() {
    let aws = Emulator::moto();
    let kinds =
        [("lost", Kind::LostAnswer), ("cut", Kind::Cut), ("throttled", Kind::Throttle), ("error", Kind::Error500)];
    thread::scope(|scope| {
        // One after the other would be slow: most of the time they wait.
        for (fault, kind) in &kinds {
            let endpoint = aws.url();
            scope.spawn(move || {
                for (purpose, action, nth) in DANCE {
                    let instance = Instance::create(endpoint, &format!("db-{fault}-{purpose}"));
                    let proxy = Proxy::to(endpoint);
                    let rule = proxy.fault("rds", action, When::Nth(nth), kind.clone());
                    let belay = Belay::at(proxy.url());
                    let plan = belay.write("plan.yaml", &plan(&instance.name, &instance.snapshot, "", ""));
                    let done = roll_back(&belay, &plan);
                    assert_eq!(done.code, 0, "{fault} at {purpose}: {done}");
                    assert_eq!(rule.hits(), 1, "{fault} at {purpose}");
                    instance.assert_replaced(&run_id(&done), &proxy.calls());
                }
            });
        }
    });
}

#[test]
fn without_its_snapshot_nothing_is_restored() {
    let aws = Emulator::moto();
    let instance = Instance::create(aws.url(), "orders");
    let proxy = Proxy::to(aws.url());
    let belay = Belay::at(proxy.url());
    let plan = belay.write("plan.yaml", &plan("orders", "never-taken", "", ""));
    let done = belay.run(&["run", &plan, "--reason", "test"]);
    assert_eq!(done.code, 4, "{done}");
    let said = format!("{}{}", done.stdout, done.stderr);
    assert!(said.contains("there is no snapshot never-taken"), "{done}");
    assert!(proxy.mutating_calls().is_empty());
    assert_eq!(instance.count(), 1);
    assert_eq!(instance.find("orders").unwrap()["TagList"], instance.before["TagList"]);
}

/// A daemon on a free port, and its URL.
pub(crate) fn serve(belay: &mut Belay, plan: &str) -> (Process, String) {
    belay.env("BELAY_LISTEN", "127.0.0.1:0").env("BELAY_POLL", "500ms");
    let mut daemon = belay.spawn(&["serve", "--plan", plan]);
    let line = daemon.wait_for_stderr("listening on http://127.0.0.1:");
    let (_, port) = line.split_once("http://127.0.0.1:").expect("the line was found by it");
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    (daemon, format!("http://127.0.0.1:{port}/v1"))
}

/// Arms the migration and starts its rollback; gives back the URL of the run.
#[track_caller]
pub(crate) fn arm_and_roll_back(api: &str, migration: &str) -> String {
    let armed = http_post(&format!("{api}/migrations/{migration}/arm"), &json!({})).unwrap();
    assert!(armed.status < 300, "{armed:?}");
    let started = http_post(&format!("{api}/migrations/{migration}/rollback"), &json!({ "reason": "test" })).unwrap();
    assert_eq!(started.status, 202, "{started:?}");
    format!("{api}/runs/{}", started.json()["run"].as_str().expect("a run has an id"))
}

/// Waits until the run is over or halted.
#[track_caller]
pub(crate) fn wait_for_end(run: &str) -> Value {
    wait_until("the end of the run", || {
        let found = http_get(run).ok()?.json();
        let state = found["state"].as_str()?;
        (!["running", "confirming"].contains(&state)).then_some(found)
    })
}

#[test]
fn a_person_lets_the_restore_begin() {
    let aws = Emulator::moto();
    let instance = Instance::create(aws.url(), "ledger");
    let proxy = Proxy::to(aws.url());
    let mut belay = Belay::at(proxy.url());
    let stop_writers = "  stop_writers:
    action: manual
    with: { instructions: Scale the order workers to zero. }";
    let text = plan("ledger", &instance.snapshot, "", stop_writers);
    let text = text.replace("  database_back:", "  database_back:\n    needs: [stop_writers]");
    let plan = belay.write("plan.yaml", &text);
    let (_daemon, api) = serve(&mut belay, &plan);
    let run = arm_and_roll_back(&api, "schema-change");
    let waiting = wait_until("the manual step to wait", || {
        let found = http_get(&run).ok()?.json();
        (found["steps"]["stop_writers"]["phase"] == "awaiting_approval").then_some(found)
    });
    assert!(waiting["waiting_for"].to_string().contains("approve"), "{waiting:#}");
    assert!(proxy.mutating_calls().is_empty());

    let approve = format!("{run}/steps/stop_writers/approve");
    let approved = http_post(&approve, &json!({ "answer": "approve", "reason": "they are down" })).unwrap();
    assert_eq!(approved.status, 200, "{approved:?}");
    let ended = wait_for_end(&run);
    assert_eq!(ended["state"], "rolled_back", "{ended:#}");
    instance.assert_replaced(ended["id"].as_str().unwrap(), &proxy.calls());
}

/// Before anything is armed in a dry run, and from then on by the daemon.
#[test]
fn what_a_restore_would_lose_is_shown_beforehand() {
    let aws = Emulator::moto();
    let instance = Instance::create(aws.url(), "stock");
    let proxy = Proxy::to(aws.url());
    let mut belay = Belay::at(proxy.url());
    let signals = "  lost: { loss: database_back, healthy: \"<= 1d\" }
objectives: { rpo: 5m }
triggers: { losing: { when: lost, severity: minor } }";
    let plan = belay.write("plan.yaml", &plan("stock", &instance.snapshot, signals, ""));
    let basis = format!("snapshot {} of 20", instance.snapshot);

    let dry = belay.run(&["dry-run", &plan, "--json"]);
    let loss = &dry.json()["loss"]["database_back"];
    assert!(loss["now_s"].is_u64() && loss["rpo_s"] == 300, "{loss:#}");
    assert!(loss["basis"].as_str().unwrap().starts_with(&basis), "{loss:#}");
    let read = belay.run(&["dry-run", &plan]);
    assert!(read.stdout.contains("within the rpo of 5m 00s: snapshot stock-before of"), "{read}");

    let (_daemon, api) = serve(&mut belay, &plan);
    let migration = format!("{api}/migrations/schema-change");
    let armed = http_post(&format!("{migration}/arm"), &json!({})).unwrap();
    assert!(armed.status < 300, "{armed:?}");
    let shown = wait_until("the loss to be known", || {
        let found = http_get(&migration).ok()?.json();
        (found["loss"]["database_back"]["now_s"].is_u64() && found["signals"]["lost"]["health"] == "healthy")
            .then_some(found)
    });
    assert!(shown["loss"]["database_back"]["basis"].as_str().unwrap().starts_with(&basis), "{shown:#}");
    belay.env("BELAY_URL", api.trim_end_matches("/v1"));
    let status = belay.run(&["status"]);
    assert!(status.stdout.contains("would be lost now") && status.stdout.contains("database_back"), "{status}");
    assert!(proxy.mutating_calls().is_empty());
}
