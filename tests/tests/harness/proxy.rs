use std::sync::mpsc;
use std::time::{Duration, Instant};

use belay_tests::{Boto, Emulator, Kind, Outcome, Proxy, Reaction, When, World};
use serde_json::json;

#[test]
fn every_call_of_a_seed_is_recorded_by_its_name() {
    let aws = Emulator::fakecloud();
    let proxy = Proxy::to(aws.url());
    World::seed(proxy.url(), &["--health-check"]);
    let calls = proxy.calls();
    assert!(calls.iter().all(|call| call.outcome == Outcome::Answered(200) || call.outcome == Outcome::Answered(201)));
    assert!(calls.iter().all(|call| !call.action.contains('/')), "{calls:#?}");
    assert_eq!(proxy.count("route53", "ChangeResourceRecordSets"), 1);
    assert_eq!(proxy.count("elasticloadbalancing", "CreateListener"), 1);
    assert_eq!(proxy.count("monitoring", "SetAlarmState"), 3);
    let mutating = proxy.mutating_calls();
    assert!(mutating.iter().all(|call| call.action != "GetCallerIdentity"));
    assert_eq!(mutating.len(), calls.len() - proxy.count("sts", "GetCallerIdentity"));
    proxy.clear();
    assert!(proxy.calls().is_empty());
}

#[test]
fn errors_are_written_in_the_protocol_of_each_service() {
    let proxy = Proxy::to("http://127.0.0.1:1"); // Nobody is there: the proxy must answer by itself.
    let boto = Boto::at(proxy.url());
    for (service, method, arguments) in [
        ("route53", "list_resource_record_sets", json!({ "HostedZoneId": "Z1" })),
        ("elbv2", "describe_load_balancers", json!({})),
        ("rds", "describe_db_instances", json!({})),
        ("sts", "get_caller_identity", json!({})),
        ("cloudwatch", "describe_alarms", json!({})),
        ("dynamodb", "list_tables", json!({})),
    ] {
        for (kind, code, status) in [
            (Kind::Throttle, "Throttling", 400),
            (Kind::AccessDenied, "AccessDenied", 403),
            (Kind::ExpiredToken, "ExpiredToken", 403),
            (Kind::Error500, "InternalFailure", 500),
            (Kind::code(400, "PriorRequestNotComplete"), "PriorRequestNotComplete", 400),
        ] {
            let fault = proxy.fault("*", "*", When::All, kind);
            let answer = boto.call(service, method, &arguments);
            let seen = answer["error"].as_str().unwrap_or_default();
            // The JSON services have names of their own for these, and answer 400.
            assert_eq!(seen.trim_end_matches("Exception"), code, "{service}: {answer}");
            assert!(answer["status"] == status || service == "dynamodb", "{service}: {answer}");
            assert_eq!(fault.hits(), 1);
            fault.remove();
        }
    }
}

#[test]
fn faults_strike_the_calls_they_name() {
    let aws = Emulator::fakecloud();
    let world = World::seed(aws.url(), &[]);
    let proxy = Proxy::to(aws.url());
    let boto = Boto::at(proxy.url());
    let list = || boto.call("route53", "list_hosted_zones", &json!({}))["error"].clone();
    let fault = proxy.fault("route53", "ListHostedZones", When::Nth(2), Kind::Throttle);
    assert_eq!([list(), list(), list()], [json!(null), json!("Throttling"), json!(null)]);
    assert_eq!(fault.hits(), 1);

    proxy.clear();
    proxy.fault("*", "ListHostedZones", When::First(1), Kind::Cut);
    assert_eq!(list(), "ConnectionClosedError");
    assert_eq!(list(), json!(null));
    assert_eq!(proxy.wait_for("route53", "ListHostedZones", 1).outcome, Outcome::Cut);
    assert_eq!(world.dns_weights()["blue"], 100);
}

#[test]
fn silence_ends_in_a_cut_only_when_its_time_is_over() {
    let proxy = Proxy::to("http://127.0.0.1:1");
    let boto = Boto::at(proxy.url());
    let time = Duration::from_millis(300);
    proxy.fault("sts", "*", When::All, Kind::Delay(time));
    proxy.fault("sts", "*", When::All, Kind::Cut);
    let asked = Instant::now();
    boto.call("sts", "get_caller_identity", &json!({}));
    assert!(asked.elapsed() >= time);
    assert_eq!(proxy.calls()[0].outcome, Outcome::Cut);
}

#[test]
fn a_lost_answer_leaves_the_change_in_effect() {
    let aws = Emulator::fakecloud();
    let world = World::seed(aws.url(), &[]);
    let proxy = Proxy::to(aws.url());
    let boto = Boto::at(proxy.url());
    proxy.fault("elasticloadbalancing", "ModifyListener", When::First(1), Kind::LostAnswer);
    let action = json!([{ "Type": "forward", "TargetGroupArn": world.text("/alb/target_groups/green/arn") }]);
    let change = json!({ "ListenerArn": world.text("/alb/listener"), "DefaultActions": action });
    assert_eq!(boto.call("elbv2", "modify_listener", &change)["error"], "ConnectionClosedError");
    let call = proxy.wait_for("elasticloadbalancing", "ModifyListener", 1);
    assert_eq!(call.outcome, Outcome::Lost(200));
    assert!(call.reached_aws());
    assert_eq!(call.parameter("ListenerArn").as_deref(), Some(world.text("/alb/listener")));
    assert_eq!(
        world.listener()["DefaultActions"][0]["TargetGroupArn"],
        world.json["alb"]["target_groups"]["green"]["arn"]
    );
}

#[test]
fn a_hook_acts_between_the_effect_and_its_answer() {
    let aws = Emulator::fakecloud();
    let world = World::seed(aws.url(), &[]);
    let proxy = Proxy::to(aws.url());
    let boto = Boto::at(proxy.url());
    let (told, happened) = mpsc::channel();
    proxy.on_call(move |call| {
        told.send((call.action.clone(), call.outcome)).unwrap();
        Reaction::Cut
    });
    let tags = json!({ "ResourceArns": [world.text("/alb/listener")], "Tags": [{ "Key": "k", "Value": "v" }] });
    assert_eq!(boto.call("elbv2", "add_tags", &tags)["error"], "ConnectionClosedError");
    let seen = happened.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(seen, ("AddTags".to_owned(), Outcome::Answered(200)));
    assert_eq!(proxy.calls()[0].outcome, Outcome::Lost(200));
    proxy.clear_hook();
    assert_eq!(boto.call("elbv2", "add_tags", &tags)["error"], json!(null));
}
