//! Whether the role in use may do what a plan needs, as somebody else's IAM simulates it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use belay_aws::session::{Access, Aws};
use belay_aws::{AwsSystems, Resolver, iam};
use belay_ports::{Actuators, Check, CheckVerdict, Clock, Fut};
use belay_tests::{Boto, Emulator, testbed::REGION};
use serde_json::{Value, json};

use crate::declared::needed;

const ACCOUNT: &str = "123456789012";

struct Time(Instant);

impl Clock for Time {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep<'a>(&'a self, time: Duration) -> Fut<'a, ()> {
        Box::pin(tokio::time::sleep(time))
    }
}

struct NoNames;

impl Resolver for NoNames {
    fn addresses<'a>(&'a self, _name: &'a str) -> Fut<'a, Result<Vec<IpAddr>, String>> {
        Box::pin(async { Err("no name is asked for".to_owned()) })
    }
}

/// A plan that is moved into the emulator's account.
fn plan() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/examples/blue-green-web.yaml");
    std::fs::read_to_string(path).unwrap().replace("111122223333", ACCOUNT)
}

/// What the readiness of the plan's account says to a role with this policy.
fn checks(boto: &Boto, emulator: &Emulator, role: &str, policy: &Value) -> Vec<Check> {
    let trust = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": "*" } },
    ] });
    let created = json!({ "RoleName": role, "Path": "/ops/", "AssumeRolePolicyDocument": trust.to_string() });
    let arn = boto.call("iam", "create_role", &created)["Role"]["Arn"].as_str().expect("a role").to_owned();
    let put = json!({ "RoleName": role, "PolicyName": "belay", "PolicyDocument": policy.to_string() });
    let put = boto.call("iam", "put_role_policy", &put);
    assert_eq!(put["error"], Value::Null, "{put}");
    let session = boto.call("sts", "assume_role", &json!({ "RoleArn": arn, "RoleSessionName": "belay" }));
    let key = |name: &str| session["Credentials"][name].as_str().unwrap_or_else(|| panic!("{session}")).to_owned();
    let keys = Credentials::new(key("AccessKeyId"), key("SecretAccessKey"), Some(key("SessionToken")), None, "test");

    let config = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(emulator.url())
        .credentials_provider(SharedCredentialsProvider::new(keys));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = runtime.block_on(config.load());
    let clock: Arc<dyn Clock> = Arc::new(Time(Instant::now()));
    let aws = Aws::with_config(Access::ReadOnly, clock.clone(), Arc::new(()), config, Arc::new(NoNames));
    let systems = AwsSystems::new(aws, clock);
    let (_, needed) = needed(&plan());
    assert_eq!(needed.len(), 1, "one account");
    let (target, permissions) = needed.first().unwrap();
    let permissions: Vec<_> = permissions.iter().cloned().collect();
    let checks = runtime.block_on(systems.readiness(target, &permissions, jiff::Timestamp::now()));
    checks.into_iter().filter(|check| check.id == "permission").collect()
}

#[test]
fn the_policy_that_is_printed_is_enough_and_whichever_action_is_missing_is_named() {
    let emulator = Emulator::fakecloud();
    let boto = Boto::at(emulator.url());
    let (migration, needed) = needed(&plan());
    let whole = iam::json(&iam::policies(&migration, &needed, None));
    let found = checks(&boto, &emulator, "whole", &whole);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].verdict, CheckVerdict::Go, "{found:#?}");
    assert!(found[0].subject.ends_with(":role/ops/whole"), "{found:#?}");

    // Each action of each statement, one at a time: the account has what the plan needs, and one permission less.
    let statements = whole["Statement"].as_array().expect("statements");
    let actions = |statement: &Value| statement["Action"].as_array().expect("actions").clone();
    let all =
        statements.iter().enumerate().flat_map(|(at, one)| actions(one).into_iter().map(move |action| (at, action)));
    let all: Vec<(usize, Value)> = all.collect();
    assert!(all.len() > 10, "{all:?}");
    for (number, (at, action)) in all.into_iter().enumerate() {
        let mut trimmed = whole.clone();
        let statements = trimmed["Statement"].as_array_mut().unwrap();
        let left: Vec<Value> = actions(&statements[at]).into_iter().filter(|one| *one != action).collect();
        match left.is_empty() {
            true => drop(statements.remove(at)),
            false => statements[at]["Action"] = left.into(),
        }
        let found = checks(&boto, &emulator, &format!("trimmed{number}"), &trimmed);
        let action = action.as_str().unwrap();
        assert!(!found.is_empty(), "{action} is missing, and nothing is found");
        for check in &found {
            // Where other statements of the policy go by keys that a simulation cannot give, an answer of no is not certain.
            let uncertain = check.found.contains("which a simulation does not know");
            // A read that only informs keeps no rollback up.
            let informs = check.found.contains("what it shows will be missing");
            let verdict = match (uncertain, informs) {
                (true, _) => CheckVerdict::Unknown,
                (false, true) => CheckVerdict::Warn,
                (false, false) => CheckVerdict::NoGo,
            };
            assert_eq!(check.verdict, verdict, "{action}: {check:#?}");
            assert!(check.subject.starts_with(&format!("{action} on ")), "{action}: {check:#?}");
            assert!(check.found.starts_with("implicitDeny"), "{action}: {check:#?}");
            assert!(check.cure.contains(action), "{action}: {check:#?}");
        }
    }
}
