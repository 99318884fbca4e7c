//! With whose credentials Belay reaches which endpoint of AWS.

use std::{collections::BTreeSet, time::Duration};

use belay_tests::{Belay, Emulator, Gateway, Kind, Proxy, Target, Vendor, When, World};
use serde_json::Value;

use crate::database::last_line;

/// After the cutover, in an emulator that knows accounts.
struct Stage {
    _aws: Emulator,
    world: World,
    proxy: Proxy,
    page: Target,
}

impl Stage {
    fn new() -> Self {
        let aws = Emulator::moto();
        let world = World::seed(aws.url(), &["--prefix", "reach", "--blue-target", "10.0.0.1:80"]);
        world.set_weights(0, 100);
        let proxy = Proxy::to(aws.url());
        Self { world, proxy, page: Target::start("the shop is open"), _aws: aws }
    }

    fn plan(&self, belay: &Belay, steps: &str) -> String {
        let text = |pointer| self.world.text(pointer).to_owned();
        let head = format!(
            "belay: 1
migration: reach
aws: {{ account: \"{}\", region: us-east-1 }}
signals:
  page: {{ http: {{ url: \"{}\", status: 200 }} }}
steps:
",
            text("/account"),
            self.page.url()
        );
        let steps = steps
            .replace("$zone", &text("/dns/zone"))
            .replace("$record", text("/dns/record").trim_end_matches('.'))
            .replace("$blue_set", &text("/dns/sets/blue/id"))
            .replace("$green_set", &text("/dns/sets/green/id"))
            .replace("$blue", &text("/alb/target_groups/blue/name"))
            .replace("$green", &text("/alb/target_groups/green/name"))
            .replace("$listener", &text("/alb/listener"))
            .replace("$rule", &text("/alb/rule"));
        belay.write("plan.yaml", &format!("{head}{steps}confirm: [page]\n"))
    }
}

const DNS_BACK: &str = "  dns_back:
    action: route53.weights
    with: { zone: $zone, record: $record, type: A }
    to: { $blue_set: 100, $green_set: 0 }
    require: [page]
";

const LISTENER_BACK: &str = "  listener_back:
    action: alb.forward
    with: { listener: \"$listener\" }
    to: { $blue: 100, $green: 0 }
    require: [page]
";

#[test]
fn credentials_that_run_out_are_renewed_in_the_middle_of_a_run() {
    let stage = Stage::new();
    // The first have run out by the time that the second change is due.
    let vendor = Vendor::start(Duration::from_secs(3));
    let mut belay = Belay::at(stage.proxy.url());
    belay.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    belay.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &vendor.url());
    let steps = format!(
        "{LISTENER_BACK}  a_while:
    action: wait
    with: {{ for: 4s }}
    needs: [listener_back]
{DNS_BACK}    needs: [a_while]
"
    );
    let plan = stage.plan(&belay, &steps);
    let done = belay.run(&["run", &plan, "--reason", "test", "--json"]);
    assert_eq!(done.code, 0, "{done}");
    let key = |action: &str| {
        let calls = stage.proxy.mutating_calls();
        calls.into_iter().find(|call| call.action == action).unwrap().access_key
    };
    let (first, second) = (key("ModifyListener"), key("ChangeResourceRecordSets"));
    assert!(first.starts_with("KEY") && second.starts_with("KEY") && first != second, "{first} {second}");
}

#[test]
fn a_step_reaches_into_another_account_and_region_by_a_role() {
    let stage = Stage::new();
    // The security token service takes its time, and is not given up at once.
    stage.proxy.fault("sts", "AssumeRole", When::First(1), Kind::Delay(Duration::from_secs(6)));
    let belay = Belay::at(stage.proxy.url());
    let elsewhere = LISTENER_BACK.replace("us-east-1", "eu-west-1")
        + "    aws: { account: \"222233334444\", region: eu-west-1, role: \"arn:aws:iam::222233334444:role/belay\", \
           external_id: shop-42 }
";
    let plan = stage.plan(&belay, &format!("{DNS_BACK}{elsewhere}"));
    let done = belay.run(&["run", &plan, "--reason", "test", "--json"]);
    // The listener is not there: what counts is where, and as whom, it was looked for.
    assert_eq!(done.code, 4, "{done}");
    let run: Value = last_line(&done);
    assert_eq!(run["steps"]["dns_back"]["phase"], "done", "{run:#}");
    let assumed = stage.proxy.calls().into_iter().find(|call| call.action == "AssumeRole").unwrap();
    assert_eq!(assumed.parameter("ExternalId").as_deref(), Some("shop-42"));
    assert_eq!(assumed.parameter("RoleArn").as_deref(), Some("arn:aws:iam::222233334444:role/belay"));
    assert_eq!(assumed.parameter("RoleSessionName").as_deref(), Some("belay"));
    let looks: Vec<_> = stage.proxy.calls().into_iter().filter(|call| call.action == "DescribeListeners").collect();
    assert!(!looks.is_empty());
    assert!(looks.iter().all(|call| call.region == "eu-west-1" && call.access_key != "test"), "{looks:#?}");
}

#[test]
fn a_service_may_have_an_endpoint_of_its_own() {
    let stage = Stage::new();
    let route53 = Proxy::to(stage.proxy.url());
    let mut belay = Belay::at(stage.proxy.url());
    // Nobody listens there: a call that does not go by its own variable fails.
    belay.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    belay.env("AWS_ENDPOINT_URL_ROUTE_53", route53.url());
    belay.env("AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2", stage.proxy.url());
    belay.env("AWS_ENDPOINT_URL_STS", stage.proxy.url());
    let plan = stage.plan(&belay, &format!("{DNS_BACK}{LISTENER_BACK}"));
    let done = belay.run(&["run", &plan, "--reason", "test", "--json"]);
    assert_eq!(done.code, 0, "{done}");
    let services: BTreeSet<String> = route53.calls().into_iter().map(|call| call.service).collect();
    assert_eq!(services, BTreeSet::from(["route53".to_owned()]));
    assert_eq!(stage.proxy.count("elasticloadbalancing", "ModifyListener"), 1);
}

#[test]
fn fips_and_dual_stack_endpoints_are_taken_where_they_are_asked_for() {
    for (variables, expected) in [
        (&["AWS_USE_FIPS_ENDPOINT"][..], "sts-fips.us-east-1.amazonaws.com"),
        (&["AWS_USE_DUALSTACK_ENDPOINT"], "sts.us-east-1.api.aws"),
        (&["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"], "sts-fips.us-east-1.api.aws"),
        (&[], "sts.us-east-1.amazonaws.com"),
    ] {
        let gateway = Gateway::start();
        let mut belay = Belay::at("http://127.0.0.1:1");
        belay.env_remove("AWS_ENDPOINT_URL").env("HTTPS_PROXY", &gateway.url());
        for variable in variables {
            belay.env(variable, "true");
        }
        let plan = belay.write(
            "plan.yaml",
            "belay: 1
migration: reach
aws: { account: \"123456789012\", region: us-east-1 }
steps:
  back:
    action: alb.forward
    with: { listener: \"arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/shop/1/2\" }
    to: { blue: 100 }
",
        );
        // The first question is whose the credentials are.
        let done = belay.run(&["capture", &plan]);
        assert_ne!(done.code, 0, "{done}");
        assert!(gateway.hosts().iter().any(|host| host == expected), "{expected}: {:?}\n{done}", gateway.hosts());
    }
}
