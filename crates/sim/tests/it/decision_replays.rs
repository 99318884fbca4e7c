//! Each way to a decision that the search finds can be played: in the simulated world, the incident comes to the same end.

use std::collections::BTreeSet;

use belay_plan::model::Plan;
use belay_sim::{
    explore::{IncidentEnd, When, incidents},
    scenario,
};

use crate::{
    deciders::night,
    rehearsals::{plan, rehearsal},
    scripts::ends,
};

/// Where the first incident waits for people without end, and a second trigger joins it.
const PATIENT: &str = r#"
belay: 1
migration: night
aws: { account: "111122223333", region: eu-west-1 }
signals:
  errors: { alarm: night-5xx }
  slow: { alarm: night-latency }
  costs: { alarm: night-costs }
triggers:
  hurt: { when: errors, for: 2m, severity: critical }
  slower: { when: slow, severity: major }
  dearer: { when: costs, severity: minor }
decision:
  rules:
    - { severity: major, do: decide }
    - { severity: critical, do: fix_first, timebox: 20m }
    - { do: fix_forward }
steps:
  listener_back:
    action: alb.forward
    with: { listener: "arn:aws:elasticloadbalancing:eu-west-1:111122223333:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2" }
    to: { shop-blue: 100, shop-green: 0 }
"#;

/// The ends that were played.
fn play_each_way(plan: &Plan, phase: Option<&str>) -> BTreeSet<IncidentEnd> {
    let mut played = BTreeSet::new();
    for of in incidents(plan, phase, &mut |_| true) {
        for way in of.ways {
            let file = &way.replay.scenario;
            let script = scenario::load("scenario.yaml", file, plan, None, None).unwrap_or_else(|errors| {
                panic!("{file}{}", errors.iter().map(|error| error.render(false) + "\n").collect::<String>())
            });
            if !way.replay.beyond.is_empty() {
                continue; // the file says what it has no word for
            }
            assert_eq!((way.when, way.replay.ends), (When::Open, way.end.as_str()));
            let night = rehearsal(plan, script).play(1).unwrap();
            let found = ends(&night.records);
            let (trigger, _, end) = found.first().unwrap_or_else(|| panic!("no end of {way:#?}"));
            assert!(of.triggers.contains(trigger), "{file}");
            assert_eq!(*end, way.end, "{found:?} of {:#?}\n{file}", way.happenings);
            assert_eq!(night.report.unmet, [""; 0], "{file}");
            played.insert(way.end);
        }
    }
    played
}

#[test]
fn each_way_to_a_decision_comes_to_its_end_in_the_simulated_world() {
    let night = night();
    let mut played = play_each_way(&plan(PATIENT), None);
    for phase in ["backfill", "cutover", "soak"] {
        played.extend(play_each_way(&night, Some(phase)));
    }
    let all = [
        IncidentEnd::RollsBackByRule,
        IncidentEnd::RollsBackByPeople,
        IncidentEnd::RollsBackInTheEnd,
        IncidentEnd::Recovers,
        IncidentEnd::FixForwardByRule,
        IncidentEnd::FixForwardByPeople,
        IncidentEnd::FixForwardInTheEnd,
        IncidentEnd::Waits,
    ];
    assert_eq!(played, BTreeSet::from(all));
}
