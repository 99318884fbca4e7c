//! What people write, read with the catalogue of the binary.

use belay_plan::catalogue::Catalogue;

use crate::{action_specs, signal_specs};

fn plan(step: &str) -> Result<(), String> {
    let text = format!("belay: 1\nmigration: shop\nsteps:\n  back:\n{step}");
    let catalogue = Catalogue::new(action_specs(), signal_specs());
    let errors = |errors: Vec<belay_plan::diagnostic::Diagnostic>| {
        errors.iter().map(|error| error.render(false)).collect::<Vec<_>>().join("\n")
    };
    belay_plan::load("plan.yaml", &text, &catalogue).map(drop).map_err(errors)
}

fn forward(with: &str) -> Result<(), String> {
    plan(&format!("    action: alb.forward\n    with: {{ {with} }}\n    to: {{ blue: 100, green: 0 }}\n"))
}

fn targets(to: &str) -> Result<(), String> {
    plan(&format!("    action: alb.targets\n    with: {{ target_group: blue }}\n    to: {to}\n    others: keep\n"))
}

#[test]
fn a_listener_and_a_rule_have_several_names() {
    let arn = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener";
    for with in [
        &format!("listener: \"{arn}/app/shop/1/2\""),
        &format!("listener: \"{arn}/net/shop/1/2\", stickiness: keep"),
        &format!("rule: \"{arn}-rule/app/shop/1/2/3\", stickiness: suspend"),
        "listener: { load_balancer: shop, port: 443 }",
        "listener: { load_balancer: resolver, port: 53, protocol: UDP }",
        "rule: { load_balancer: shop, port: 443, protocol: HTTPS, priority: 10 }, stickiness: suspend",
    ] {
        assert_eq!(forward(with), Ok(()));
    }
}

#[test]
fn what_is_no_listener_is_told_with_what_would_be() {
    let arn = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener";
    for (with, parts) in [
        ("listener: { load_balancer: shop }", ["`port` is missing", "The listener's port"]),
        ("listener: { load_balancer: shop, prot: 443, port: 443 }", ["unknown key `prot`", "`port`"]),
        ("listener: { load_balancer: shop, port: 0 }", ["a whole number from 1 to 65535", "plan.yaml:6"]),
        ("listener: { load_balancer: shop, port: 53, protocol: UPD }", ["unknown word `UPD`", "`UDP`"]),
        ("listener: shop", ["ARN of a listener", "{ load_balancer: NAME, port: 443 }"]),
        ("rule: { load_balancer: shop, port: 443 }", ["`priority` is missing", "within its listener"]),
        ("listener: { load_balancer: shop, port: 443 }, stickiness: suspended", ["unknown word", "`suspend`"]),
        (&format!("listener: \"{arn}/gwy/wall/1/2\""), ["a gateway load balancer", "`alb.targets`"]),
        (&format!("rule: \"{arn}-rule/gwy/shop/1/2/3\""), ["load balancer's rule", "priority: 10 }"]),
    ] {
        let told = forward(with).unwrap_err();
        assert!(parts.iter().all(|part| told.contains(part)), "{parts:?} in:\n{told}");
    }
}

#[test]
fn targets_have_ports_in_several_ways() {
    for to in [
        "baseline",
        "{ i-0123456789abcdef0: 8080, i-0fedcba9: [8080, { port: 8081 }] }",
        "{ 10.0.3.7: { port: 80, zone: all }, \"2001:db8::7\": default, 10.0.3.8: { zone: eu-west-1a } }",
        "{ \"arn:aws:lambda:eu-west-1:111122223333:function:shop:live\": default }",
        "{ \"arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/shop/1\": 443 }",
    ] {
        assert_eq!(targets(to), Ok(()));
    }
}

#[test]
fn what_is_no_target_is_told_with_what_would_be() {
    for (to, parts) in [
        ("{ shop-1: 80 }", ["`shop-1` is not a target", "an instance (`i-0123456789abcdef0`)"]),
        ("{ i-0fedcba9: 70000 }", ["a whole number from 1 to 65535", "plan.yaml:7"]),
        ("{ i-0fedcba9: http }", ["a port, `default`", "{ port, zone }"]),
        ("{ 10.0.3.7: { prot: 80 } }", ["unknown key `prot`", "`port`"]),
        ("{ 10.0.3.777: 80 }", ["is not an IP address", "plan.yaml:7"]),
        ("{}", ["there is no entry", "at least one"]),
    ] {
        let told = targets(to).unwrap_err();
        assert!(parts.iter().all(|part| told.contains(part)), "{parts:?} in:\n{told}");
    }
}
