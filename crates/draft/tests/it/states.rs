//! Terraform states, in both forms.

use belay_draft::{
    choice::{Wanted, choose},
    inventory::{ForwarderKind, Inventory},
    terraform::{StateError, read},
    text::draft,
};
use serde_json::{Value, json};

const LISTENER: &str =
    "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2";
const BALANCER: &str = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/shop/50dc6c495c0c9188";
/// Whatever contains this is a leak.
const SECRET: &str = "hunter2";

fn group(name: &str) -> String {
    format!("arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/{name}/73e2d6bc24d8a067")
}

/// Types, names, attributes.
fn shop() -> Vec<(&'static str, &'static str, Value)> {
    let record = |side: &str, weight: u32| {
        json!({
            "zone_id": "Z0123456789ABC", "name": "www", "fqdn": "www.example.com", "type": "A", "set_identifier": side,
            "weighted_routing_policy": [{ "weight": weight }],
            "alias": [{ "name": "Shop-1.eu-west-1.elb.amazonaws.com", "zone_id": "Z32O12XQLNTSW2", "evaluate_target_health": true }],
        })
    };
    let forward = |blue: &str, green: &str| {
        json!([{ "type": "forward", "target_group_arn": "", "forward": [{
            "target_group": [{ "arn": group(blue), "weight": 100 }, { "arn": group(green), "weight": 0 }],
            "stickiness": [{ "enabled": true, "duration": 600 }],
        }] }])
    };
    let rule = LISTENER.replace(":listener/", ":listener-rule/") + "/9683b2d02a6cabee";
    vec![
        ("aws_route53_zone", "main", json!({ "zone_id": "Z0123456789ABC", "name": "example.com", "vpc": [] })),
        ("aws_route53_record", "www", record("blue", 100)),
        ("aws_route53_record", "www", record("green", 0)),
        ("aws_route53_record", "plain", json!({ "zone_id": "Z0123456789ABC", "name": "mail", "type": "A" })),
        (
            "aws_lb",
            "shop",
            json!({ "arn": BALANCER, "name": "shop", "dns_name": "shop-1.eu-west-1.elb.amazonaws.com" }),
        ),
        (
            "aws_lb_listener",
            "https",
            json!({ "arn": LISTENER, "load_balancer_arn": BALANCER, "port": 443, "protocol": "HTTPS", "default_action": forward("blue", "green") }),
        ),
        (
            "aws_lb_listener_rule",
            "api",
            json!({ "arn": rule, "listener_arn": LISTENER, "priority": 10, "action": forward("api-blue", "api-green") }),
        ),
        (
            "aws_db_instance",
            "orders",
            json!({
                "identifier": "orders", "engine": "postgres", "backup_retention_period": 7, "password": SECRET,
                "arn": "arn:aws:rds:eu-west-1:111122223333:db:orders",
            }),
        ),
        (
            "aws_cloudwatch_metric_alarm",
            "errors",
            json!({
                "alarm_name": "shop-5xx", "arn": "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:shop-5xx",
                "namespace": "AWS/ApplicationELB", "metric_name": "HTTPCode_Target_5XX_Count", "period": 60, "evaluation_periods": 3,
                "dimensions": { "LoadBalancer": "app/shop/50dc6c495c0c9188" },
            }),
        ),
        ("random_password", "db", json!({ "result": SECRET })),
    ]
}

/// A state file of version 4.
fn file(resources: &[(&str, &str, Value)]) -> Value {
    let resource = |(kind, name, attributes): &(&str, &str, Value)| {
        json!({
            "mode": "managed", "type": kind, "name": name, "provider": "provider[\"registry.terraform.io/hashicorp/aws\"]",
            "instances": [{
                "schema_version": 0, "attributes": attributes,
                "sensitive_attributes": [[{ "type": "get_attr", "value": "password" }]],
            }],
        })
    };
    json!({
        "version": 4, "terraform_version": "1.9.0", "serial": 3, "lineage": "x",
        "outputs": { "password": { "value": SECRET, "type": "string", "sensitive": true } },
        "resources": resources.iter().map(resource).collect::<Vec<_>>(),
    })
}

/// What `terraform show -json` prints: half of it in a module.
fn show(resources: &[(&str, &str, Value)]) -> Value {
    let resource = |(kind, name, values): &(&str, &str, Value)| {
        json!({
            "address": format!("{kind}.{name}"), "mode": "managed", "type": kind, "name": name, "values": values,
            "sensitive_values": { "password": true, "tags": {} },
        })
    };
    let (root, inner) = resources.split_at(resources.len() / 2);
    let of = |part: &[(&str, &str, Value)]| part.iter().map(resource).collect::<Vec<_>>();
    let child = json!({ "address": "module.shop", "resources": of(inner) });
    json!({
        "format_version": "1.0", "terraform_version": "1.9.0",
        "values": { "root_module": { "resources": of(root), "child_modules": [child] } },
    })
}

fn inventory(state: &Value) -> Inventory {
    read("shop.tfstate", &state.to_string(), None).unwrap()
}

#[test]
fn both_forms_show_the_same() {
    let (mut of_file, mut of_show) = (inventory(&file(&shop())), inventory(&show(&shop())));
    // The order of modules is another.
    for found in [&mut of_file, &mut of_show] {
        found.forwarders.sort_by(|a, b| a.arn.cmp(&b.arn));
    }
    assert_eq!(of_file, of_show);
    assert_eq!((of_file.account.as_deref(), of_file.region.as_deref()), (Some("111122223333"), Some("eu-west-1")));
    let record = &of_file.records[0];
    assert_eq!((record.name.as_str(), record.zone_name.as_deref()), ("www.example.com", Some("example.com")));
    assert_eq!(record.members.iter().map(|member| member.weight).collect::<Vec<_>>(), [100, 0]);
    assert_eq!(record.members[0].leads_to.as_deref(), Some("shop-1.eu-west-1.elb.amazonaws.com"));
    assert_eq!(of_file.records.len(), 1, "a plain record has no weights");
    let rule = of_file.forwarders.iter().find(|found| found.kind != ForwarderKind::Listener).unwrap();
    assert_eq!((rule.label().as_str(), rule.sticky_s), ("shop:443/10", Some(600)));
    assert_eq!(of_file.databases[0].backups.point_in_time, Some(true));
    assert_eq!((of_file.alarms[0].looks_at_s, of_file.notes.len()), (Some(180), 0));
}

/// Who registers targets stands in a state: people do where it attaches them one by one.
#[test]
fn targets_that_were_attached_one_by_one_are_known() {
    let attached = |name: &str, id: &str| {
        (
            "aws_lb_target_group_attachment",
            "web",
            json!({ "target_group_arn": group(name), "target_id": id, "port": 8080 }),
        )
    };
    let mut resources = shop();
    resources.extend([
        attached("web", "i-0123456789abcdef0"),
        attached("web", "i-0123456789abcdef1"),
        attached("api", "i-1"),
    ]);
    resources.push(("aws_autoscaling_group", "api", json!({ "target_group_arns": [group("api")] })));
    for state in [file(&resources), show(&resources)] {
        let found = inventory(&state).targets;
        let of = |name: &str| (found[&group(name)].ids.join(" "), found[&group(name)].by_hand);
        assert_eq!(of("web"), ("i-0123456789abcdef0:8080 i-0123456789abcdef1:8080".to_owned(), true));
        assert_eq!(of("api"), ("i-1:8080".to_owned(), false), "Auto Scaling registers there as well");
    }
}

#[test]
fn a_cluster_with_a_backtrack_window_is_wound_back() {
    let mut resources = shop();
    resources.push((
        "aws_rds_cluster",
        "hits",
        json!({ "cluster_identifier": "hits", "engine": "aurora-mysql", "backtrack_window": 86400, "backup_retention_period": 7 }),
    ));
    let inventory = inventory(&file(&resources));
    let wanted = Wanted { databases: vec!["hits".to_owned()], ..flags_of_listener() };
    let choice = choose(&inventory, &wanted, &mut |_| None).unwrap();
    let text = draft(&inventory, &choice, None).unwrap().text;
    assert!(text.contains("action: rds.backtrack\n    with: { cluster: hits, time: cutover }"), "{text}");
    assert!(text.contains("It reaches 24h back"), "{text}");
}

fn flags_of_listener() -> Wanted {
    Wanted { listeners: vec!["shop:443".to_owned()], ..Wanted::default() }
}

#[test]
fn a_plan_is_drafted_of_it_without_a_secret() {
    let inventory = inventory(&file(&shop()));
    let wanted = Wanted {
        listeners: vec!["shop:443".to_owned(), "shop:443/10".to_owned()],
        databases: vec!["orders".to_owned()],
        ..Wanted::default()
    };
    let choice = choose(&inventory, &wanted, &mut |_| None).unwrap();
    let draft = draft(&inventory, &choice, None).unwrap();
    crate::goldens::golden("terraform", &draft.text);
    assert!(!format!("{draft:?} {choice:?} {inventory:?}").contains(SECRET));
}

/// Whatever is marked as sensitive is not there, also where a plan would need it.
#[test]
fn what_is_marked_as_sensitive_is_not_looked_at() {
    let database =
        |name: &str| vec![("aws_db_instance", "orders", json!({ "identifier": name, "engine": "postgres" }))];
    let mut state = file(&database(SECRET));
    let marks = &mut state["resources"][0]["instances"][0]["sensitive_attributes"];
    *marks = json!([[{ "type": "get_attr", "value": "identifier" }]]);
    let mut shown = show(&database(SECRET));
    shown["values"]["root_module"]["child_modules"][0]["resources"][0]["sensitive_values"] =
        json!({ "identifier": true });
    let mut unknown = file(&database(SECRET));
    unknown["resources"][0]["instances"][0]["sensitive_attributes"] = json!([[{ "type": "splat" }]]);
    for state in [state, shown, unknown] {
        let inventory = inventory(&state);
        assert!(inventory.databases.is_empty() && !format!("{inventory:?}").contains(SECRET), "{inventory:?}");
        assert!(inventory.notes[0].starts_with("aws_db_instance.orders is not looked at"), "{:?}", inventory.notes);
    }
}

#[test]
fn sensitive_values_are_taken_out_of_lists_too() {
    let mut state = file(&shop()[1..2]);
    state["resources"][0]["instances"][0]["sensitive_attributes"] = json!([[
        { "type": "get_attr", "value": "alias" }, { "type": "index", "value": { "value": 0, "type": "number" } },
        { "type": "get_attr", "value": "name" },
    ]]);
    assert_eq!(inventory(&state).records[0].members[0].leads_to, None);
}

#[test]
fn another_file_is_refused_with_what_would_be_right() {
    let not_json = |line, column| StateError::NotJson { line, column, why: "" };
    for (text, expected) in [
        (format!("{{\n  \"version\": 4,\n  \"x\": \"{SECRET}"), not_json(3, 15)),
        (format!("{{\n  \"password\": {SECRET} }}"), not_json(2, 15)),
        (String::new(), not_json(1, 0)),
        ("[]".to_owned(), StateError::NotAState { why: "it holds no object" }),
        ("{}".to_owned(), StateError::NotAState { why: "it has neither `version` nor `format_version`" }),
        (json!({ "version": 4 }).to_string(), StateError::NotAState { why: "it has no list `resources`" }),
        (json!({ "version": 3, "modules": [] }).to_string(), StateError::Version { found: "3".to_owned() }),
        (json!({ "version": SECRET }).to_string(), StateError::Version { found: "that is not known".to_owned() }),
        (json!({ "version": 3, "backend": { "type": "s3" } }).to_string(), StateError::Backend),
        (json!({ "meta": {}, "encrypted_data": "x" }).to_string(), StateError::Encrypted),
        (json!({ "format_version": "1.2", "planned_values": {} }).to_string(), StateError::Plan),
    ] {
        let error = read("x.tfstate", &text, None).unwrap_err();
        match (&error, &expected) {
            (
                StateError::NotJson { line, column, .. },
                StateError::NotJson { line: wanted_line, column: wanted_column, .. },
            ) => {
                assert_eq!((line, column), (wanted_line, wanted_column), "{text}");
            }
            _ => assert_eq!(error, expected, "{text}"),
        }
        let told = format!("{error} {}", error.help());
        assert!(!told.contains(SECRET) && !error.help().is_empty(), "{told}");
    }
}

#[test]
fn one_plan_is_for_one_place() {
    let elsewhere = |arn: &str| {
        let balancer = json!({ "arn": arn, "name": "other", "dns_name": "other.example" });
        let mut resources = shop();
        resources.push(("aws_lb", "other", balancer));
        file(&resources).to_string()
    };
    let other_region = elsewhere("arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/other/1");
    let regions = ["eu-west-1", "us-east-1"].map(str::to_owned).into();
    assert_eq!(read("s", &other_region, None), Err(StateError::Regions { regions }));
    let chosen = read("s", &other_region, Some("us-east-1")).unwrap();
    assert_eq!((chosen.region.as_deref(), chosen.balancers.len(), chosen.forwarders.len()), (Some("us-east-1"), 1, 0));
    let other_account = elsewhere("arn:aws:elasticloadbalancing:eu-west-1:444455556666:loadbalancer/app/other/1");
    let accounts = ["111122223333", "444455556666"].map(str::to_owned).into();
    assert_eq!(read("s", &other_account, None), Err(StateError::Accounts { accounts }));
}

#[test]
fn the_account_may_be_known_from_terraform_s_own_question() {
    let mut resources = vec![shop().swap_remove(1)];
    assert_eq!(inventory(&file(&resources)).account, None);
    resources.push(("aws_caller_identity", "me", json!({ "account_id": "111122223333" })));
    resources.push(("aws_region", "here", json!({ "name": "eu-west-1" })));
    let found = inventory(&file(&resources));
    assert_eq!((found.account.as_deref(), found.region.as_deref()), (Some("111122223333"), Some("eu-west-1")));
}
