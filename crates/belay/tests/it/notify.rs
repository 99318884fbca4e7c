//! `belay notify --preview`: what people would be told, and nothing that they would not.

use serde_json::Value;

use crate::{belay, repository, text};

#[test]
fn an_update_is_promised_only_where_the_channel_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let plan = std::fs::read_to_string(repository("config/demo.yaml")).unwrap();
    let notify = "
notify:
  team: { slack: env:SLACK_WEBHOOK }
  customers: { statuspage: { page: abc, component: def, key: env:KEY }, after: 30m, every: 15m }
";
    std::fs::write(folder.path().join("plan.yaml"), format!("{plan}{notify}")).unwrap();
    let done = belay(folder.path(), &["notify", "plan.yaml", "--preview", "--json"]).assert().code(0);
    let shown: Value = serde_json::from_str(&text(&done.get_output().stdout)).unwrap();
    let of = |channel: &str| -> Vec<String> {
        let texts = shown["texts"].as_array().unwrap().iter().filter(|one| one["channel"] == channel);
        texts.map(|one| one["text"].as_str().unwrap().to_owned()).collect()
    };
    let promises = |text: &&String| text.contains("Next update") || text.contains("next update");
    let (team, customers) = (of("team"), of("customers"));
    assert!(!team.is_empty());
    assert_eq!(team.iter().filter(promises).count(), 0, "slack has no `every`");
    assert!(customers.iter().any(|text| promises(&text)), "{customers:?}");
    assert!(!customers.iter().any(|text| text.contains("you may see")), "{customers:?}");
}

#[test]
fn a_dry_run_names_every_fault_of_every_channel_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let plan = "belay: 1
migration: m
steps:
  a: { action: wait, with: { for: 5s } }
notify:
  team: { webhook: env:NOT_SET_HOOK, secret: env:NOT_SET_KEY }
  oncall: { pagerduty: file:missing.key }
";
    std::fs::write(folder.path().join("plan.yaml"), plan).unwrap();
    let done = belay(folder.path(), &["dry-run", "plan.yaml", "--json"]).assert();
    let shown: Value = serde_json::from_str(&text(&done.get_output().stdout)).unwrap();
    let warnings: Vec<_> = shown["warnings"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for (place, why) in [
        ("plan.yaml:6:20 (notify.team.webhook): channel team cannot be used: ", "NOT_SET_HOOK is not set"),
        ("plan.yaml:6:46 (notify.team.secret): channel team cannot be used: ", "NOT_SET_KEY is not set"),
        ("plan.yaml:7:24 (notify.oncall.pagerduty): channel oncall cannot be used: ", "missing.key cannot be read"),
    ] {
        let found = warnings.iter().any(|warning| warning.starts_with(place) && warning.contains(why));
        assert!(found, "{place}: {warnings:#?}");
    }
}

#[test]
fn a_preview_shows_what_a_channel_gets_and_what_several_get_once() {
    let folder = tempfile::tempdir().unwrap();
    let plan = "belay: 1
migration: m
steps:
  a: { action: wait, with: { for: 5s } }
notify:
  team: { slack: env:HOOK, events: [incident] }
  others: { slack: env:OTHER, events: [incident] }
  customers: { statuspage: { page: abc, component: def, key: env:KEY }, when: customer_facing }
";
    std::fs::write(folder.path().join("plan.yaml"), plan).unwrap();
    let shown = |more: &[&str]| {
        let done = belay(folder.path(), &[&["notify", "plan.yaml", "--preview"], more].concat()).assert().code(0);
        text(&done.get_output().stdout)
    };
    let all = shown(&[]);
    assert!(all.contains("team, others (slack), incident: fixed first"), "{all}");
    assert!(!all.contains("\nothers (slack)") && !all.contains("\nteam (slack)"), "{all}");
    let customers = shown(&["--channel", "customers"]);
    for never in ["two roles decide", "started by hand", "by hand, and nothing is known"] {
        assert!(!customers.contains(never), "{never}: {customers}");
    }
    assert!(customers.contains("customers (statuspage), incident: fixed first"), "{customers}");
}
