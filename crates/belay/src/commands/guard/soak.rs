//! The time after the cutover in which nothing may happen. Pure: from what was seen to whether all is well.

use std::time::Duration;

use crate::document::Migration;

/// Looks that are further apart say nothing of the time between them.
const GAP_MAX: Duration = Duration::from_secs(30);

/// What keeps the daemon from acting may pass, such as a full disk; after this it is not waited for any more.
const FAULTY_MAX: Duration = Duration::from_secs(10 * 60);

/// Only time counts in which the daemon was seen to watch: a lost connection or a mute makes it last longer.
#[derive(Debug)]
pub(super) struct Soak {
    wanted: Duration,
    watched: Duration,
    last: Option<Duration>,
    /// Since when the daemon is there, and does not act.
    faulty: Option<Duration>,
    /// When it was over at first, and how long a trigger may still take to fire or heal.
    over: Option<(Duration, Duration)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    GoesOn,
    Well,
    /// It is over, and this is not as it should be.
    NotWell(String),
}

impl Soak {
    pub(super) fn new(wanted: Duration) -> Self {
        Self { wanted, watched: Duration::ZERO, last: None, faulty: None, over: None }
    }

    /// So much of it is left.
    pub(super) fn left(&self) -> Duration {
        self.wanted.saturating_sub(self.watched)
    }

    /// The daemon did not answer.
    pub(super) fn away(&mut self) {
        self.last = None;
    }

    /// What was seen at a time of a clock that only goes forward. `unknown_is_fine`: somebody has answered for signals that
    /// cannot be read.
    pub(super) fn seen(&mut self, migration: &Migration, at: Duration, unknown_is_fine: bool) -> Verdict {
        let watches = migration.faults.is_empty() && migration.muted_until.is_none();
        let gap = self.last.map(|last| at.saturating_sub(last)).filter(|gap| watches && *gap <= GAP_MAX);
        self.watched += gap.unwrap_or_default();
        self.last = watches.then_some(at);
        if let Some(fault) = migration.faults.first() {
            let since = *self.faulty.get_or_insert(at);
            let late = at.saturating_sub(since) > FAULTY_MAX;
            return if late { Verdict::NotWell(format!("the daemon does not act: {fault}")) } else { Verdict::GoesOn };
        }
        self.faulty = None;
        if self.watched < self.wanted || !watches {
            return Verdict::GoesOn;
        }
        if let Some(wrong) = wrong(migration, unknown_is_fine) {
            return Verdict::NotWell(wrong);
        }
        let dwelling = migration.triggers.iter().filter(|(_, trigger)| trigger.state == "dwelling");
        let (names, dwells): (Vec<&str>, Vec<f64>) =
            dwelling.map(|(name, trigger)| (name.as_str(), trigger.for_s)).unzip();
        if names.is_empty() {
            return Verdict::Well;
        }
        // What is red now fires or heals within its dwell; what flaps is not well.
        let longest = dwells.into_iter().filter_map(|dwell| Duration::try_from_secs_f64(dwell).ok()).max();
        let (since, patience) = *self.over.get_or_insert((at, longest.unwrap_or_default() + GAP_MAX));
        match at.saturating_sub(since) > patience {
            true => Verdict::NotWell(format!("the condition of {} still comes and goes", names.join(", "))),
            false => Verdict::GoesOn,
        }
    }
}

fn wrong(migration: &Migration, unknown_is_fine: bool) -> Option<String> {
    if let Some(incident) = &migration.incident {
        return Some(format!("incident {} is open: {}", incident.id, incident.triggers.join(", ")));
    }
    let unknown = migration.triggers.iter().filter(|(_, trigger)| trigger.unknown_since.is_some());
    let unknown: Vec<&str> = unknown.map(|(name, _)| name.as_str()).collect();
    (!unknown.is_empty() && !unknown_is_fine)
        .then(|| format!("whether {} would fire cannot be read", unknown.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const WANTED: Duration = Duration::from_secs(60);

    fn document() -> Value {
        json!({
            "name": "shop", "state": "armed", "triggers": {}, "signals": {}, "blind": {}, "incident": null, "run": null,
            "waiting_for": [], "faults": [], "poll_s": 5.0, "seq": 9, "now": "2026-03-01T22:01:00Z",
        })
    }

    fn with(key: &str, value: Value) -> Migration {
        let mut document = document();
        document[key] = value;
        Migration::read(&document).unwrap()
    }

    fn trigger(state: &str, unknown_since: Value) -> Migration {
        let hurt = json!({
            "severity": "critical", "state": state, "signals": ["errors"], "held_s": 0.0, "for_s": 20.0, "fires_at": null,
            "unknown_since": unknown_since,
        });
        with("triggers", json!({ "hurt": hurt }))
    }

    /// Seen every ten seconds from one time to another; the last verdict.
    fn seen(soak: &mut Soak, migration: &Migration, from: u64, to: u64) -> Verdict {
        let verdicts = (from..=to).step_by(10).map(|at| soak.seen(migration, Duration::from_secs(at), false));
        verdicts.last().unwrap()
    }

    #[test]
    fn it_is_over_when_it_was_watched_for_long_enough() {
        let (mut soak, quiet) = (Soak::new(WANTED), with("faults", json!([])));
        assert_eq!(seen(&mut soak, &quiet, 0, 50), Verdict::GoesOn);
        assert_eq!(soak.left(), Duration::from_secs(10));
        assert_eq!(seen(&mut soak, &quiet, 60, 60), Verdict::Well);
        assert_eq!(seen(&mut Soak::new(Duration::ZERO), &quiet, 0, 0), Verdict::Well);
    }

    #[test]
    fn time_in_which_nobody_watched_does_not_count() {
        let quiet = with("faults", json!([]));
        let mut lost = Soak::new(WANTED);
        seen(&mut lost, &quiet, 0, 20);
        lost.away();
        assert_eq!(seen(&mut lost, &quiet, 40, 70), Verdict::GoesOn);
        assert_eq!(lost.left(), Duration::from_secs(10));

        let mut slept = Soak::new(WANTED);
        seen(&mut slept, &quiet, 0, 0);
        assert_eq!(seen(&mut slept, &quiet, 600, 600), Verdict::GoesOn);
        assert_eq!(slept.left(), WANTED);

        let mut muted = Soak::new(WANTED);
        seen(&mut muted, &quiet, 0, 50);
        assert_eq!(seen(&mut muted, &with("muted_until", json!("2026-03-01T23:00:00Z")), 60, 200), Verdict::GoesOn);
        assert_eq!(seen(&mut muted, &quiet, 210, 210), Verdict::GoesOn);
        assert_eq!(seen(&mut muted, &quiet, 220, 220), Verdict::Well);
    }

    #[test]
    fn what_is_open_in_the_end_is_not_well() {
        let incident = json!({ "id": "i1", "opened": "2026-03-01T22:00:00Z", "triggers": ["hurt"], "decision": "decide", "why": "" });
        let (mut soak, open) = (Soak::new(WANTED), with("incident", incident));
        assert_eq!(seen(&mut soak, &open, 0, 50), Verdict::GoesOn);
        assert_eq!(seen(&mut soak, &open, 60, 60), Verdict::NotWell("incident i1 is open: hurt".to_owned()));

        let unknown = trigger("quiet", json!("2026-03-01T22:00:00Z"));
        let mut soak = Soak::new(WANTED);
        assert_eq!(
            seen(&mut soak, &unknown, 0, 60),
            Verdict::NotWell("whether hurt would fire cannot be read".to_owned())
        );
        assert_eq!(soak.seen(&unknown, WANTED, true), Verdict::Well);
    }

    #[test]
    fn a_condition_that_holds_in_the_end_may_still_fire_or_heal() {
        let (dwelling, quiet) = (trigger("dwelling", Value::Null), trigger("quiet", Value::Null));
        let mut healed = Soak::new(WANTED);
        assert_eq!(seen(&mut healed, &dwelling, 0, 70), Verdict::GoesOn);
        assert_eq!(seen(&mut healed, &quiet, 80, 80), Verdict::Well);
        let mut flapping = Soak::new(WANTED);
        assert_eq!(seen(&mut flapping, &dwelling, 0, 110), Verdict::GoesOn);
        let flaps = Verdict::NotWell("the condition of hurt still comes and goes".to_owned());
        assert_eq!(seen(&mut flapping, &dwelling, 120, 120), flaps);
    }

    #[test]
    fn a_daemon_that_does_not_act_is_not_waited_for_without_end() {
        let (mut soak, faulty) = (Soak::new(WANTED), with("faults", json!(["the disk is full"])));
        assert_eq!(seen(&mut soak, &faulty, 0, 600), Verdict::GoesOn);
        assert_eq!(soak.left(), WANTED);
        let given_up = Verdict::NotWell("the daemon does not act: the disk is full".to_owned());
        assert_eq!(seen(&mut soak, &faulty, 610, 610), given_up);
    }
}
