//! Load balancers in every shape: a listener that nobody would draw on a board comes back to the byte, stickiness steps
//! aside for a swap, and targets return one by one.

use belay_tests::{Belay, Emulator, Finished, Kind, Proxy, Target, When, World, wait_until};
use serde_json::{Value, json};

const LISTENER: &str = "ModifyListener";

fn run(belay: &Belay, plan: &str, more: &[&str]) -> Finished {
    belay.run(&[&["run", plan, "--reason", "a test", "--json"], more].concat())
}

#[track_caller]
fn call(world: &World, method: &str, arguments: &Value) -> Value {
    let answer = world.call("elbv2", method, arguments);
    assert_eq!(answer["error"], Value::Null, "{method}: {answer}");
    answer
}

/// A target group in moto with a target, which is healthy there.
fn group(world: &World, name: &str) -> String {
    let vpc = &call(world, "describe_target_groups", &json!({}))["TargetGroups"][0]["VpcId"];
    let created = json!({ "Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": vpc, "TargetType": "ip" });
    let created = call(world, "create_target_group", &created);
    let arn = created["TargetGroups"][0]["TargetGroupArn"].as_str().expect("it has an ARN").to_owned();
    call(world, "register_targets", &json!({ "TargetGroupArn": arn, "Targets": [{ "Id": "10.1.0.7", "Port": 80 }] }));
    arn
}

/// Two authentications with parameters of their own, five groups, and stickiness.
fn wild_actions(groups: &[String], weights: [u32; 5], sticky_s: u32) -> Value {
    let members = groups.iter().zip(weights);
    let members: Vec<_> = members.map(|(arn, weight)| json!({ "TargetGroupArn": arn, "Weight": weight })).collect();
    json!([
        { "Type": "authenticate-oidc", "Order": 3, "AuthenticateOidcConfig": {
            "Issuer": "https://login.example.test", "AuthorizationEndpoint": "https://login.example.test/a",
            "TokenEndpoint": "https://login.example.test/t", "UserInfoEndpoint": "https://login.example.test/u",
            "ClientId": "shop & co", "SessionCookieName": "Shop=1", "Scope": "openid email", "SessionTimeout": 604_799,
            "AuthenticationRequestExtraParams": { "prompt": "login", "display": "page +1" },
            "OnUnauthenticatedRequest": "deny", "UseExistingClientSecret": true } },
        { "Type": "authenticate-cognito", "Order": 7, "AuthenticateCognitoConfig": {
            "UserPoolArn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_A", "UserPoolClientId": "c",
            "UserPoolDomain": "shop", "AuthenticationRequestExtraParams": { "lang": "de" },
            "OnUnauthenticatedRequest": "allow" } },
        { "Type": "forward", "Order": 50_000, "ForwardConfig": { "TargetGroups": members,
            "TargetGroupStickinessConfig": { "Enabled": true, "DurationSeconds": sticky_s } } },
    ])
}

struct Wild {
    world: World,
    proxy: Proxy,
    belay: Belay,
    groups: Vec<String>,
}

const BEFORE: [u32; 5] = [0, 999, 7, 1, 0];
const CUT_OVER: [u32; 5] = [500, 0, 0, 0, 3];

impl Wild {
    fn new(endpoint: &str, prefix: &str, sticky_s: u32) -> Self {
        let world = World::seed(endpoint, &["--prefix", prefix]);
        let groups: Vec<String> = (0..5).map(|number| group(&world, &format!("{prefix}-{number}"))).collect();
        let proxy = Proxy::to(endpoint);
        let belay = Belay::at(proxy.url());
        let wild = Self { world, proxy, belay, groups };
        wild.modify(&wild_actions(&wild.groups, BEFORE, sticky_s));
        wild
    }

    fn modify(&self, actions: &Value) {
        let (listener, rule) = (self.world.text("/alb/listener"), self.world.text("/alb/rule"));
        call(&self.world, "modify_listener", &json!({ "ListenerArn": listener, "DefaultActions": actions }));
        call(&self.world, "modify_rule", &json!({ "RuleArn": rule, "Actions": actions }));
    }

    /// As AWS describes both.
    fn described(&self) -> (Value, Value) {
        (self.world.listener(), self.world.rule())
    }

    fn plan(&self, more: &str) -> String {
        let (listener, rule) = (self.world.text("/alb/listener"), self.world.text("/alb/rule"));
        let text = format!(
            "belay: 1\nmigration: wild\nsteps:\n  \
             listener_back: {{ action: alb.forward, with: {{ listener: \"{listener}\"{more} }} }}\n  \
             rule_back: {{ action: alb.forward, with: {{ rule: \"{rule}\"{more} }} }}\n"
        );
        self.belay.write("plan.yaml", &text)
    }

    fn captured(&self, plan: &str) -> String {
        let file = self.belay.folder().join("baseline.json");
        let file = file.to_str().expect("temporary paths are plain");
        let done = self.belay.run(&["capture", plan, "-o", file]);
        assert_eq!(done.code, 0, "{done}");
        file.to_owned()
    }
}

#[test]
fn a_wild_listener_comes_back_to_the_byte() {
    let aws = Emulator::moto();
    let wild = Wild::new(aws.url(), "wild", 604_800);
    let plan = wild.plan("");
    let baseline = wild.captured(&plan);
    let before = wild.described();

    // The cutover shifts the weights, drops a group and puts another in its place, in another order.
    let mut groups = wild.groups.clone();
    groups[3] = group(&wild.world, "wild-new");
    groups.reverse();
    wild.modify(&wild_actions(&groups, CUT_OVER, 604_800));
    assert_ne!(wild.described(), before);
    wild.proxy.fault("elasticloadbalancing", LISTENER, When::First(1), Kind::LostAnswer);
    wild.proxy.fault("elasticloadbalancing", "ModifyRule", When::First(1), Kind::Throttle);
    let done = run(&wild.belay, &plan, &["--baseline", &baseline]);
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(wild.described(), before);
    assert!(done.stdout.contains("stickiness keeps clients with their present group for up to 7d"), "{done}");
    // What was lost was not sent twice.
    assert_eq!(wild.proxy.count("elasticloadbalancing", LISTENER), 1);
}

#[test]
fn stickiness_steps_aside_for_the_swap() {
    let aws = Emulator::moto();
    let wild = Wild::new(aws.url(), "sticky", 2);
    let plan = wild.plan(", stickiness: suspend");
    let baseline = wild.captured(&plan);
    let before = wild.described();
    wild.modify(&wild_actions(&wild.groups, CUT_OVER, 2));
    // Of the listener, the answers to the swap and to the return of stickiness are lost.
    wild.proxy.fault("elasticloadbalancing", LISTENER, When::Nth(1), Kind::LostAnswer);
    wild.proxy.fault("elasticloadbalancing", LISTENER, When::Nth(3), Kind::LostAnswer);
    let done = run(&wild.belay, &plan, &["--baseline", &baseline]);
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(wild.described(), before);
    let sticky = |action: &str, list: &str| {
        let calls = wild.proxy.mutating_calls().into_iter().filter(|call| call.action == action);
        let flag = format!("{list}.member.3.ForwardConfig.TargetGroupStickinessConfig.Enabled");
        calls.map(|call| call.parameter(&flag).expect("it is said")).collect::<Vec<_>>()
    };
    assert_eq!(sticky("ModifyRule", "Actions"), ["false", "true"]);
    assert_eq!(sticky(LISTENER, "DefaultActions"), ["false", "false", "true"]);
}

#[test]
fn a_timeout_that_the_cookies_outlast_is_told_by_the_dry_run() {
    let aws = Emulator::moto();
    let wild = Wild::new(aws.url(), "long", 86_400);
    let plan = wild.plan(", stickiness: suspend");
    let baseline = wild.captured(&plan);
    wild.modify(&wild_actions(&wild.groups, CUT_OVER, 86_400));
    let done = wild.belay.run(&["dry-run", &plan, "--baseline", &baseline]);
    assert_eq!(done.code, 3, "{done}");
    assert!(done.stdout.contains("`timeout: 1d5m`") && done.stdout.contains("`stickiness: keep`"), "{done}");
    assert!(wild.proxy.mutating_calls().is_empty());
}

/// The targets of blue and their states.
fn registered(world: &World) -> Vec<(String, String)> {
    let arn = world.text("/alb/target_groups/blue/arn");
    let found = call(world, "describe_target_health", &json!({ "TargetGroupArn": arn }));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found = found["TargetHealthDescriptions"].as_array().into_iter().flatten();
    let targets = found.map(|one| {
        let address = format!("{}:{}", text(&one["Target"]["Id"]), one["Target"]["Port"]);
        (address, text(&one["TargetHealth"]["State"]))
    });
    let mut targets: Vec<_> = targets.collect();
    targets.sort();
    targets
}

#[test]
fn targets_return_before_the_others_leave() {
    let aws = Emulator::fakecloud();
    let (old, new) = (Target::start("old"), Target::start("new"));
    let world = World::seed(aws.url(), &["--prefix", "moved", "--blue-target", &old.address()]);
    let healthy = |targets: &[&Target]| {
        let mut all: Vec<_> = targets.iter().map(|one| (one.address(), "healthy".to_owned())).collect();
        all.sort();
        all
    };
    let wait = |expected: Vec<(String, String)>| {
        wait_until("the targets of blue", || (registered(&world) == expected).then_some(()));
    };
    wait(healthy(&[&old]));
    let proxy = Proxy::to(aws.url());
    let belay = Belay::at(proxy.url());
    let group = world.text("/alb/target_groups/blue/name");
    let plan = belay.write(
        "plan.yaml",
        &format!(
            "belay: 1\nmigration: moved\nsteps:\n  targets_back:\n    action: alb.targets\n    \
             with: {{ target_group: {group} }}\n    retry: {{ attempts: 3, backoff: 100ms..1s }}\n"
        ),
    );
    let baseline = belay.folder().join("baseline.json");
    let baseline = baseline.to_str().unwrap();
    let done = belay.run(&["capture", &plan, "-o", baseline]);
    assert_eq!(done.code, 0, "{done}");

    let arn = world.text("/alb/target_groups/blue/arn");
    let named = |target: &Target| {
        let address = target.address();
        let (id, port) = address.split_once(':').unwrap();
        json!({ "TargetGroupArn": arn, "Targets": [{ "Id": id, "Port": port.parse::<u16>().unwrap() }] })
    };
    call(&world, "register_targets", &named(&new));
    call(&world, "deregister_targets", &named(&old));
    wait(healthy(&[&new]));

    // Nothing leaves as long as the old one does not answer.
    old.set_healthy(false);
    let slow = belay.write("slow.yaml", &(std::fs::read_to_string(&plan).unwrap() + "    timeout: 15s\n"));
    let done = run(&belay, &slow, &["--baseline", baseline]);
    assert_eq!(done.code, 4, "{done}");
    assert_eq!(proxy.count("elasticloadbalancing", "DeregisterTargets"), 0);

    old.set_healthy(true);
    call(&world, "deregister_targets", &named(&old));
    proxy.clear();
    proxy.fault("elasticloadbalancing", "RegisterTargets", When::First(1), Kind::LostAnswer);
    proxy.fault("elasticloadbalancing", "DeregisterTargets", When::First(1), Kind::LostAnswer);
    let done = run(&belay, &plan, &["--baseline", baseline]);
    assert_eq!(done.code, 0, "{done}");
    assert_eq!(registered(&world), healthy(&[&old]));
    let calls: Vec<String> = proxy.mutating_calls().into_iter().map(|call| call.action).collect();
    assert_eq!(calls, ["RegisterTargets", "DeregisterTargets"]);
}
