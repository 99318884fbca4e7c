//! A way to a decision as a scenario: what the signals show and when, who says what, and when the daemon dies.

use std::{collections::BTreeSet, time::Duration};

use belay_core::{decision::rule_for, elapsed::is_own, watch::signals_of};
use belay_plan::{duration, model::Name};

use super::{
    decisions::{Move, Node, Search},
    incident_ends::{IncidentEnd, When},
    replay::{Replay, left_out, list},
};

/// From one thing that happens to the next, where people have the time for it.
const PACE: Duration = Duration::from_secs(2 * 60);

/// Signals are read every few seconds, and an incident opens that much later than its dwell is over.
const PACE_MIN: Duration = Duration::from_secs(30);

/// Until a daemon that was killed is started again.
const DOWN: Duration = Duration::from_secs(30);

/// The words for a way: with the trigger that joins, if one does. `end`: what it leads to, also in words.
pub(super) fn replay(
    search: &Search<'_>,
    joined: bool,
    when: When,
    moves: &[Move],
    (end, words): (IncidentEnd, &str),
) -> Replay {
    let mut writer = Writer::new(search, joined, moves.len());
    match when {
        When::Open => {}
        When::BeforeItOpens => writer.beyond.push("in a rehearsal the window is open".to_owned()),
        When::PastThePoint => writer.beyond.push("a rehearsal does not wait for the point of no return".to_owned()),
    }
    writer.happen(joined, when, moves);
    writer.finish(end, words)
}

struct Writer<'s> {
    search: &'s Search<'s>,
    pace: Duration,
    /// From the beginning of the incident.
    now: Duration,
    /// When the time that people have is over.
    ends: Option<Duration>,
    red: BTreeSet<usize>,
    /// What signals show, each from a time after the breach on.
    shows: Vec<(Duration, Vec<Name>, bool)>,
    people: Vec<String>,
    said: BTreeSet<usize>,
    events: Vec<String>,
    beyond: Vec<String>,
}

impl<'s> Writer<'s> {
    fn new(search: &'s Search<'s>, joined: bool, moves: usize) -> Self {
        let shortest = search.whole.decision.rules.iter().filter_map(|rule| rule.timebox).min();
        let slots = u32::try_from(moves).unwrap_or(u32::MAX).saturating_add(2);
        let pace = shortest.map_or(PACE, |shortest| PACE.min(shortest / slots));
        let mut writer = Self {
            search,
            pace,
            now: Duration::ZERO,
            ends: None,
            red: BTreeSet::from([0]),
            shows: Vec::new(),
            people: Vec::new(),
            said: BTreeSet::new(),
            events: Vec::new(),
            beyond: Vec::new(),
        };
        if pace < PACE_MIN {
            writer.beyond.push("people have less time than signals take to be read".to_owned());
        }
        writer.compare_with_the_world(joined);
        writer
    }

    /// What the simulated world has that the search left out.
    fn compare_with_the_world(&mut self, joined: bool) {
        let (plan, phase) = (self.search.whole, self.search.phase);
        let mut calm: BTreeSet<&Name> = plan.triggers.values().flat_map(|trigger| signals_of(&trigger.when)).collect();
        for trigger in 0..=usize::from(joined) {
            let name = self.search.trigger(trigger);
            if signals_of(&plan.triggers[name].when).iter().any(|signal| is_own(&plan.signals[*signal])) {
                self.beyond.push(format!("{name} watches what no scenario can show"));
            }
        }
        let opening: BTreeSet<&Name> = self.signals(0).into_iter().collect();
        let rule = |name: &Name| rule_for(plan, &plan.triggers[name], phase).0;
        for (name, trigger) in &plan.triggers {
            let is_meant = (0..=usize::from(joined)).any(|trigger| self.search.trigger(trigger) == name);
            let watches_it = signals_of(&trigger.when).iter().any(|signal| opening.contains(*signal));
            if !is_meant && watches_it && rule(name) != rule(self.search.trigger(0)) {
                self.beyond.push(format!("{name} watches the same, and may join"));
            }
        }
        calm.retain(|signal| !opening.contains(*signal) && !is_own(&plan.signals[*signal]));
        let (calm, opening) = (calm.into_iter().cloned().collect(), opening.into_iter().cloned().collect());
        self.shows = vec![(Duration::ZERO, calm, true), (Duration::ZERO, opening, false)];
        self.shows.retain(|(_, signals, _): &(_, Vec<Name>, _)| !signals.is_empty());
    }

    fn signals(&self, trigger: usize) -> Vec<&'s Name> {
        let plan = self.search.whole;
        let signals = signals_of(&plan.triggers[self.search.trigger(trigger)].when);
        signals.into_iter().filter(|signal| !is_own(&plan.signals[*signal])).collect()
    }

    fn dwell(&self, trigger: usize) -> Duration {
        self.search.whole.triggers[self.search.trigger(trigger)].dwell
    }

    fn happen(&mut self, joined: bool, when: When, moves: &[Move]) {
        let Some(mut node) = self.search.start(0, when) else { return };
        let people = self.search.people([Some(0), joined.then_some(1)]);
        self.ends = self.left(&node);
        for made in moves {
            let Some(next) = self.search.play(&node, made, &people) else { return };
            self.now += self.pace;
            match made {
                Move::Turns { trigger, unhealthy, dwells } => {
                    self.turns(*trigger, *unhealthy);
                    self.now += if *dwells { self.dwell(*trigger) } else { Duration::ZERO };
                }
                Move::TurnsLate { trigger, unhealthy } => {
                    self.beyond
                        .push("a signal turns right before the time is over: it is played a little before".to_owned());
                    self.now = self.ends.map_or(self.now, |ends| ends.saturating_sub(self.pace / 2));
                    self.turns(*trigger, *unhealthy);
                }
                Move::Says { person, roll_back } => {
                    let word = if *roll_back { "roll_back" } else { "fix_forward" };
                    let role = people[*person].roles.first().map_or("", |role| role.as_str());
                    let after = duration::format(self.now);
                    self.people.push(format!("{{ decide: {word}, role: {role}, after: {after} }}"));
                    if !self.said.insert(*person) {
                        self.beyond.push(format!("a {role} changes their mind: here, another one speaks"));
                    }
                }
                Move::TimeIsOver => self.now = self.ends.map_or(self.now, |ends| self.now.max(ends + self.pace)),
                Move::Phase { phase } => {
                    let phase = self.search.whole.phases.get_index(*phase).map_or("", |(name, _)| name.as_str());
                    self.event(&format!("phase: {phase}"));
                }
                Move::Dies { late } => {
                    let left = self.ends.map_or(Duration::ZERO, |ends| ends.saturating_sub(self.now));
                    let down = if *late { left + self.pace } else { DOWN };
                    self.event(&format!("kill: {{ down: {} }}", duration::format(down)));
                    self.now += down;
                }
            }
            if next.timebox_ends() != node.timebox_ends() {
                self.ends = self.left(&next);
            }
            node = next;
        }
    }

    /// When the time of this question is over, if it is asked now.
    fn left(&self, node: &Node) -> Option<Duration> {
        let left = node.timebox_ends()?.duration_since(node.now);
        Some(self.now + Duration::try_from(left).unwrap_or_default())
    }

    /// What another trigger that is red watches as well stays red.
    fn turns(&mut self, trigger: usize, unhealthy: bool) {
        if unhealthy {
            self.red.insert(trigger);
        } else {
            self.red.remove(&trigger);
        }
        let red: BTreeSet<&Name> = self.red.iter().flat_map(|red| self.signals(*red)).collect();
        let mut signals = self.signals(trigger);
        signals.retain(|signal| unhealthy || !red.contains(*signal));
        let signals: Vec<Name> = signals.into_iter().cloned().collect();
        if !signals.is_empty() {
            self.shows.push((self.dwell(0) + self.now, signals, !unhealthy));
        }
    }

    fn event(&mut self, what: &str) {
        let at = duration::format(self.dwell(0) + self.now);
        self.events.push(format!("{{ {what}, at: {at} }}"));
    }

    fn finish(mut self, end: IncidentEnd, words: &str) -> Replay {
        // Once the run has begun, signals show what it does.
        let over = self.dwell(0) + self.now + PACE;
        for (at, signals, healthy) in std::mem::take(&mut self.shows) {
            let shows = if healthy { "healthy" } else { "unhealthy" };
            let lasts = match end.rolls_back() && !healthy {
                true => format!(", for: {}", duration::format(over.saturating_sub(at))),
                false => String::new(),
            };
            let signals = signals.join(", ");
            let at = if at.is_zero() { String::new() } else { format!(", at: {}", duration::format(at)) };
            self.events.push(format!("{{ signal: {{ signals: [{signals}], shows: {shows} }}{at}{lasts} }}"));
        }
        if self.people.is_empty() {
            self.people.push("{ decide: nothing }".to_owned());
        }
        let phase = self.search.phase.map_or_else(String::new, |phase| format!(", phase: {phase}"));
        let scenario = [
            format!("# A way to a decision that `belay explore` has found; there, {words}.\n"),
            left_out(&self.beyond),
            format!("scenario: 1\nsummary: \"Leads to: {}.\"\n", end.as_str().replace('_', " ")),
            format!("breach: {{ trigger: {}{phase} }}\n", self.search.trigger(0)),
            list("people", &self.people),
            list("events", &self.events),
        ];
        Replay { scenario: scenario.concat(), ends: end.as_str(), beyond: self.beyond }
    }
}
