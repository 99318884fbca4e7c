//! What is laid over a plan: overlays of the file, and settings of the command line.

use std::time::Duration;

use belay_plan::{
    Changes, Loaded,
    diagnostic::Diagnostic,
    load_with,
    model::{Condition, Overlaid, Target},
};
use serde_json::json;

use crate::{catalogue::catalogue, samples::good, samples_in};

fn text() -> String {
    samples_in("valid").into_iter().find(|(name, _)| name == "overlays").expect("the sample").1
}

fn changed(overlay: Option<&str>, set: &[&str]) -> Result<Loaded, Vec<Diagnostic>> {
    let set = set.iter().map(|&setting| setting.to_owned()).collect();
    load_with("shop.yaml", &text(), &catalogue(), &Changes { overlay: overlay.map(str::to_owned), set })
}

#[track_caller]
fn good_with(overlay: Option<&str>, set: &[&str]) -> Loaded {
    changed(overlay, set).unwrap_or_else(|errors| panic!("{}", errors[0].render(false)))
}

#[track_caller]
fn refused(overlay: Option<&str>, set: &[&str], told: &str) -> String {
    let errors = changed(overlay, set).expect_err("an error");
    let rendered: Vec<String> = errors.iter().map(|error| error.render(false)).collect();
    let rendered = rendered.join("\n\n");
    assert!(rendered.contains(told), "{rendered}");
    rendered
}

#[test]
fn an_overlay_changes_what_it_names() {
    let plan = good_with(Some("staging"), &[]).plan;
    assert_eq!(plan.migration, "shop-staging");
    assert_eq!((plan.aws.account.as_deref(), plan.aws.region.as_deref()), (Some("444455556666"), Some("eu-central-1")));
    assert_eq!((plan.aws.role, plan.aws.external_id), (None, None), "a role is of one account");
    assert_eq!(plan.objectives.rto, Some(Duration::from_secs(900)));
    assert_eq!(plan.objectives.rpo, Some(Duration::from_secs(60)));
    // The rest of an entry stays; another kind of signal does not keep what belongs to the old one.
    assert_eq!(plan.signals["errors"].spec, json!({ "alarm": "staging-5xx", "missing": "unhealthy" }));
    assert_eq!(plan.signals["latency"].spec["alarm"], "staging-slow");
    assert!(plan.signals["latency"].spec["metric"].is_null());
    assert!(matches!(&plan.triggers["hurt"].when, Condition::All(both) if both.len() == 2));
    assert_eq!(plan.triggers["hurt"].dwell, Duration::from_secs(60));
    let dns = &plan.steps["dns_back"];
    assert_eq!(dns.resource, "route53:ZSTAGING0/shop.example.com/A");
    assert_eq!(dns.aws.account.as_deref(), Some("444455556666"));
    assert_eq!(dns.require.len(), 1);
    // Weights are one value: members of both worlds never mix.
    assert!(matches!(&dns.to, Target::Explicit(to) if *to == json!({ "old": 1, "new": 0 })), "{:?}", dns.to);
    let alb = &plan.steps["alb_back"];
    assert_eq!((alb.action.as_str(), alb.needs.clone()), ("manual", vec!["dns_back".to_owned()]));
    assert_eq!(plan.confirm[0].hold, Duration::ZERO);
    assert_eq!(plan.steps.keys().collect::<Vec<_>>(), ["dns_back", "alb_back"]);
}

#[test]
fn what_was_laid_over_a_plan_is_on_record_and_in_its_hash() {
    let plain = good("overlays");
    assert_eq!(plain.plan.overlaid, None);
    assert_eq!(plain.plan.migration, "shop");
    let staging = good_with(Some("staging"), &["objectives.rto=5m"]);
    let overlaid = Overlaid {
        file_migration: "shop".to_owned(),
        overlay: Some("staging".to_owned()),
        set: vec!["objectives.rto=5m".to_owned()],
    };
    assert_eq!(staging.plan.overlaid, Some(overlaid));
    assert_eq!(staging.plan.objectives.rto, Some(Duration::from_secs(300)), "a setting stands over the overlay");
    let hashes = [plain.sha256, staging.sha256, good_with(Some("staging"), &[]).sha256];
    assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2] && hashes[0] != hashes[2]);
    assert_eq!(hashes[2], good_with(Some("staging"), &[]).sha256);
    assert_eq!(good_with(Some("lab"), &[]).plan.migration, "lab-shop");
}

#[test]
fn a_setting_changes_one_value() {
    let set = ["steps.dns_back.with.zone=ZSTAGING0", "aws.account=444455556666", "steps.dns_back.to.blue=7"];
    let plan = good_with(None, &set).plan;
    assert_eq!(plan.migration, "shop");
    assert_eq!(plan.steps["dns_back"].resource, "route53:ZSTAGING0/shop.example.com/A");
    assert_eq!(plan.aws.account.as_deref(), Some("444455556666"), "a shell takes quotes away");
    assert!(matches!(&plan.steps["dns_back"].to, Target::Explicit(to) if *to == json!({ "blue": 7, "green": 0 })));

    let set = ["confirm.0.for=2m", "steps.dns_back.to={ old: 1 }", "signals.latency.metric.dimensions.LoadBalancer=2"];
    let plan = good_with(None, &set).plan;
    assert_eq!(plan.confirm[0].hold, Duration::from_secs(120));
    assert!(matches!(&plan.steps["dns_back"].to, Target::Explicit(to) if *to == json!({ "old": 1 })));
    assert_eq!(plan.signals["latency"].spec["metric"]["dimensions"], json!({ "LoadBalancer": "2" }));

    let plan = good_with(None, &["triggers.hurt.when.all=[errors]", "signals.latency.alarm=slow"]).plan;
    assert!(matches!(&plan.triggers["hurt"].when, Condition::All(one) if one.len() == 1));
    assert_eq!(plan.signals["latency"].kind, "alarm", "another form stands for the whole");
}

#[test]
fn errors_of_an_overlay_that_is_chosen_point_at_its_own_line() {
    let bad = text().replace("zone: ZSTAGING0", "zoen: ZSTAGING0");
    let changes = Changes { overlay: Some("staging".to_owned()), set: Vec::new() };
    let errors = load_with("shop.yaml", &bad, &catalogue(), &changes).expect_err("an unknown key");
    assert_eq!(
        (errors[0].place.file.as_str(), errors[0].place.source_line.trim()),
        ("shop.yaml", "with: { zoen: ZSTAGING0 }")
    );
    assert_eq!(errors[0].help.as_deref(), Some("did you mean `zone`?"));
}

#[test]
fn an_unknown_overlay_is_refused() {
    let told = refused(Some("stagin"), &[], "the plan has no overlay `stagin`");
    assert!(told.contains("did you mean `staging`?") && told.contains("--overlay:1:1"), "{told}");
    refused(Some("production"), &[], "its overlays: `staging`, `lab`");
}

#[test]
fn bad_settings_are_refused_and_named() {
    let zone = "steps.dns_back.with.zone";
    for (setting, told, help) in [
        ("steps.dns_back", "this sets nothing", "write PATH=VALUE"),
        ("steps..with=1", "a key of the path is empty", "a dot between"),
        (&format!("{zone}="), "there is no value here", "remove the key"),
        (&format!("{zone}=[ZSTAGING0"), "this is not YAML", ""),
        (&format!("{zone}=Z0123456789ABC"), "this changes nothing", "check the path"),
        (&format!("{zone}.name=x"), "`zone` is a single value", "end the path at it"),
        ("steps.dns_bakc.with.zone=Z1", "the plan's `steps` have no `dns_bakc`", "did you mean `dns_back`?"),
        ("signals.error.alarm=x", "the plan's `signals` have no `error`", "did you mean `errors`?"),
        ("steps.dns_back.with.zoen=Z1", "unknown key `zoen`", "did you mean `zone`?"),
        ("stepz.dns_back.with.zone=Z1", "unknown key `stepz`", "did you mean `steps`?"),
        ("steps.dns_back.to.blu=1", "the plan's `to` have no `blu`", "did you mean `blue`?"),
        ("steps.dns_back.verify.0.within=1m", "`verify` has no entry `0`", "set the whole list"),
        ("confirm.1.within=1m", "`confirm` has no entry `1`", "from 0 to 0"),
        ("confirm.first.within=1m", "`confirm` has no entry `first`", ""),
        ("objectives.rto=soon", "soon", ""),
        ("objectives.rto=15", "expected a duration", "`15m`"),
        ("steps.dns_back.to={ blue: 0, green: 0 }", "all weights are zero", ""),
        ("steps.dns_back.needs=alb_back", "expected a list", "`[alb_back]`"),
        ("aws.account=12", "is not an AWS account", ""),
        ("steps.dns_back={ a: 1, a: 2 }", "duplicate key `a`", "keep one"),
    ] {
        let rendered = refused(None, &[setting], told);
        assert!(rendered.contains(help), "{rendered}");
        assert!(rendered.contains("--set:1:") && rendered.contains(setting), "{setting}: {rendered}");
    }
}

#[test]
fn a_secret_in_a_setting_is_not_shown() {
    let text = format!("{}notify: {{ team: {{ slack: env:HOOK }} }}\n", text());
    let set = vec!["notify.team.slack=https://hooks.example.com/T0/B0/x".to_owned()];
    let errors = load_with("shop.yaml", &text, &catalogue(), &Changes { overlay: None, set }).expect_err("a secret");
    assert!(!errors[0].render(false).contains("hooks"), "{}", errors[0].render(false));
}
