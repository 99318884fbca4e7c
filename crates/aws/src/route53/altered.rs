//! What a shift of weights relies on and does not write: where the records lead that would get the traffic, by which health check Route 53
//! answers with them, and how long their answers live. An UPSERT keeps all of it as it is found. Pure.

use std::time::Duration;

use belay_aws_catalogue::route53::normal_name;
use belay_plan::duration;
use belay_ports::Scope;

use super::{State, readiness::destinations, record::RecordSet};

/// Of the records that would get traffic, against the baseline. What was deleted since is created again as the baseline has it.
pub(super) fn differences(scope: &Scope, now: &State, baseline: &State) -> Vec<String> {
    let of_baseline = |record: &RecordSet| {
        let same = |then: &&RecordSet| then.set_identifier == record.set_identifier;
        baseline.members.iter().find(same).cloned()
    };
    let found = destinations(scope, now, Some(baseline)).into_iter();
    found.filter_map(|record| Some((of_baseline(&record)?, record))).flat_map(|(then, now)| of(&then, &now)).collect()
}

fn of(then: &RecordSet, now: &RecordSet) -> Vec<String> {
    let name = &now.set_identifier;
    let mut found = Vec::new();
    let (was, is) = (leads_to(then), leads_to(now));
    if was != is {
        found.push(format!("{name} leads to {is}, not to {was}"));
    }
    let follows = |record: &RecordSet| record.alias.as_ref().map(|alias| alias.evaluate_target_health);
    match (follows(then), follows(now)) {
        (Some(true), Some(false)) => {
            found.push(format!("{name} does not go by the health of its alias target any more"))
        }
        (Some(false), Some(true)) => {
            found.push(format!("{name} goes by the health of its alias target, which it did not"))
        }
        _ => {}
    }
    match (&then.health_check, &now.health_check) {
        (was, is) if was == is => {}
        (Some(was), None) => found.push(format!("{name} has no health check any more; it had {was}")),
        (Some(was), Some(is)) => found.push(format!("{name} has the health check {is}, not {was}")),
        (None, is) => {
            let is = is.as_deref().unwrap_or_default();
            found.push(format!("{name} has the health check {is}, and had none"));
        }
    }
    // A shorter time to live is what a cutover is prepared with.
    if let (Some(was), Some(is)) = (then.ttl, now.ttl)
        && is > was
    {
        let shown = |seconds: i64| duration::format(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
        found.push(format!("answers of {name} live for {}, not for {}", shown(is), shown(was)));
    }
    found
}

/// The alias target, or the values in one order: Route 53 gives them none.
pub(super) fn leads_to(record: &RecordSet) -> String {
    if let Some(alias) = &record.alias {
        return format!("the alias target {}", normal_name(&alias.dns_name));
    }
    let mut values: Vec<&str> = record.values.iter().map(String::as_str).collect();
    values.sort_unstable();
    values.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn state(blue: &Value) -> State {
        let green = json!({
            "name": "shop.example.com.", "type": "A", "set_identifier": "green", "weight": 100, "ttl": 60, "values": ["192.0.2.7"],
        });
        serde_json::from_value(json!({ "members": [blue, green] })).unwrap()
    }

    fn blue(with: Value) -> Value {
        let mut blue = json!({
            "name": "shop.example.com.", "type": "A", "set_identifier": "blue", "weight": 0, "ttl": 60,
            "values": ["192.0.2.1", "192.0.2.2"], "health_check": "hc-1",
        });
        blue.as_object_mut().unwrap().extend(with.as_object().cloned().unwrap());
        blue
    }

    fn found(then: Value, now: Value) -> Vec<String> {
        let mut then = state(&blue(then));
        (then.members[0].weight, then.members[1].weight) = (100, 0);
        differences(&crate::testing::scope(json!({}), None, None), &state(&blue(now)), &then)
    }

    #[test]
    fn what_would_get_the_traffic_is_held_against_the_baseline_in_all_that_the_step_keeps() {
        let cases = [
            (json!({}), None),
            (json!({ "values": ["192.0.2.2", "192.0.2.1"], "ttl": 30 }), None),
            (json!({ "values": ["198.51.100.9"] }), Some("blue leads to 198.51.100.9, not to 192.0.2.1, 192.0.2.2")),
            (json!({ "health_check": "hc-2" }), Some("blue has the health check hc-2, not hc-1")),
            (json!({ "health_check": null }), Some("blue has no health check any more; it had hc-1")),
            (json!({ "ttl": 3600 }), Some("answers of blue live for 1h, not for 1m")),
        ];
        for (now, expected) in cases {
            assert_eq!(found(json!({}), now), expected.into_iter().collect::<Vec<_>>());
        }
        let alias = |name: &str, follows: bool| json!({ "ttl": null, "values": [], "alias": { "zone": "Z2", "dns_name": name, "evaluate_target_health": follows } });
        assert_eq!(found(alias("LB-1.example.com.", true), alias("lb-1.example.com", true)), [] as [String; 0]);
        let elsewhere = found(alias("lb-1.example.com", true), alias("lb-2.example.com", false));
        assert_eq!(
            elsewhere,
            [
                "blue leads to the alias target lb-2.example.com, not to the alias target lb-1.example.com",
                "blue does not go by the health of its alias target any more"
            ]
        );
    }

    #[test]
    fn what_gets_no_traffic_may_lead_anywhere() {
        let mut then = state(&blue(json!({})));
        (then.members[0].weight, then.members[1].weight) = (100, 0);
        let mut now = state(&blue(json!({})));
        now.members[1].values = vec!["198.51.100.9".to_owned()];
        assert_eq!(differences(&crate::testing::scope(json!({}), None, None), &now, &then), [] as [String; 0]);
    }
}
