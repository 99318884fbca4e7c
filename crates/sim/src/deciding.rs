//! What must hold of decisions, written down a second time from the contract and not from core: who decides an incident, until
//! when, and what may start by itself. Everything is told from the records alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use belay_core::{
    OPERATOR,
    decision::Question,
    event::{Event, IncidentOutcome, Record},
    watch::signals_of,
};
use belay_plan::model::{Answer, Authority, Name, OnFailure, Plan, Rule, Trigger, counts_during};
use jiff::{SignedDuration, Timestamp};

#[derive(Default)]
pub(crate) struct Decisions {
    plan: Option<Arc<Plan>>,
    cutover: Option<Timestamp>,
    phase: Option<Name>,
    muted: Option<Timestamp>,
    /// Signals that were read since the last start.
    read: BTreeSet<Name>,
    /// Triggers that have fired and hold, and those that are healing, since when.
    holds: BTreeSet<Name>,
    healing: BTreeMap<Name, Timestamp>,
    incident: Option<Incident>,
    is_running: bool,
    /// What the record before was.
    before: Before,
    commanded: Option<(Timestamp, String)>,
    at: Option<Timestamp>,
}

#[derive(Default, Clone, PartialEq)]
enum Before {
    /// A trigger has opened the incident, or joins it.
    Fired(Name),
    Word,
    /// A trigger has healed, or is red again before it had.
    Turned(Name),
    Decided {
        answer: Answer,
        settled: bool,
    },
    #[default]
    Other,
}

#[derive(Default)]
struct Incident {
    triggers: Vec<Name>,
    /// What each of them asks that has not healed since, by its rule: that of the moment in which it came.
    raised: BTreeMap<Name, Raised>,
    question: Option<Asked>,
    /// A person, or the end of the time, has settled the question; a trigger that joins may ask another.
    is_settled: bool,
    /// Of each person, the last word since.
    words: BTreeMap<String, (Vec<Name>, Answer)>,
}

struct Raised {
    at: Timestamp,
    /// The rule's place; none where none fits.
    rule: Option<usize>,
    /// People have spoken, or the time has ended, while it was there.
    is_settled: bool,
}

#[derive(Clone)]
struct Asked {
    answer: Answer,
    ends: Option<Timestamp>,
    then: Option<Answer>,
    authority: Authority,
}

impl Asked {
    fn of(answer: Answer, asks: &Question) -> Self {
        Self { answer, ends: asks.timebox_ends, then: asks.then, authority: asks.authority.clone() }
    }

    fn waits(&self) -> bool {
        matches!(self.answer, Answer::Decide | Answer::FixFirst)
    }

    /// How near it is to a rollback that nobody asks for.
    fn strictness(&self) -> u8 {
        match (self.answer, self.then) {
            (Answer::RollBack, _) => 3,
            (Answer::Decide | Answer::FixFirst, Some(Answer::RollBack)) => 2,
            (Answer::Decide | Answer::FixFirst, _) => 1,
            (Answer::FixForward, _) => 0,
        }
    }
}

/// The same of a rule.
fn strictness(rule: &Rule) -> u8 {
    match (rule.answer, rule.timebox, rule.then) {
        (Answer::RollBack, ..) => 3,
        (Answer::FixForward, ..) => 0,
        (_, None, _) | (_, _, Some(Answer::FixForward)) => 1,
        _ => 2,
    }
}

impl Incident {
    fn agree(&self) -> bool {
        let mut words = self.words.values().map(|(_, word)| *word);
        let first = words.next();
        words.all(|word| Some(word) == first)
    }
}

impl Decisions {
    /// What is wrong with a record.
    pub(crate) fn record(&mut self, record: &Record) -> Vec<String> {
        let mut problems = match self.at {
            Some(last) if last < record.at => self.at_rest(last),
            _ => Vec::new(),
        };
        self.at = Some(record.at);
        problems.extend(self.follows(record));
        problems.extend(self.of(record));
        self.remember(record);
        problems
    }

    /// What must have happened by now, and has not.
    pub(crate) fn at_rest(&self, now: Timestamp) -> Vec<String> {
        let Some(incident) = self.incident.as_ref().filter(|_| !self.is_running) else { return Vec::new() };
        let mut problems = Vec::new();
        if matches!(self.before, Before::Decided { answer: Answer::RollBack, .. }) {
            problems.push("a rollback was decided, and none begins".to_owned());
        }
        let agreed = incident.question.as_ref().filter(|asked| is_enough(&asked.authority, &incident.words));
        if agreed.is_some() && incident.agree() {
            problems.push("the people who are asked agree, and nothing is decided".to_owned());
        }
        if incident.raised.is_empty() {
            problems.push("every trigger of the incident has healed, and it is open".to_owned());
        }
        let again = incident.triggers.iter().filter(|name| !incident.raised.contains_key(*name));
        for name in again.filter(|name| self.muted.is_none() && self.holds.contains(*name) && self.is_read(name)) {
            problems.push(format!("{name} has fired again since it had healed, and nobody is asked"));
        }
        let over =
            incident.question.as_ref().filter(|asked| asked.waits() && asked.ends.is_some_and(|ends| ends <= now));
        match over.and_then(|asked| asked.then) {
            Some(Answer::FixForward) => problems.push("its time is over, and people are still asked".to_owned()),
            Some(_) if self.still_holds(incident) => {
                problems.push("its time is over, a trigger holds, and nothing follows".to_owned());
            }
            _ => {}
        }
        problems
    }

    /// A trigger whose own rule comes to a rollback, and which nobody has answered, holds by what was read since the last
    /// start.
    fn still_holds(&self, incident: &Incident) -> bool {
        self.open(incident).any(|(name, rule)| strictness(rule) >= 2 && self.holds.contains(name) && self.is_read(name))
    }

    /// The triggers of the incident that have not healed and that nobody has answered, each with its rule.
    fn open<'d>(&'d self, incident: &'d Incident) -> impl Iterator<Item = (&'d Name, &'d Rule)> {
        let rules = self.plan.iter().flat_map(|plan| &plan.decision.rules);
        incident
            .raised
            .iter()
            .filter(|(_, raised)| !raised.is_settled)
            .filter_map(move |(name, raised)| Some((name, rules.clone().nth(raised.rule?)?)))
    }

    /// All of it was looked at since the last start.
    fn is_read(&self, name: &str) -> bool {
        let read = |trigger: &Trigger| signals_of(&trigger.when).iter().all(|signal| self.read.contains(*signal));
        self.trigger(name).is_some_and(read)
    }

    /// It was looked at since the last start.
    fn is_looked_at(&self, name: &str) -> bool {
        let read = |trigger: &Trigger| signals_of(&trigger.when).iter().any(|signal| self.read.contains(*signal));
        self.trigger(name).is_some_and(read)
    }

    fn trigger(&self, name: &str) -> Option<&Trigger> {
        self.plan.as_ref()?.triggers.get(name)
    }

    /// The first rule that fits the trigger now.
    fn rule(&self, name: &str) -> Option<(usize, &Rule)> {
        let trigger = self.trigger(name)?;
        let rules = &self.plan.as_ref()?.decision.rules;
        let fits = |rule: &&Rule| {
            rule.problem.as_ref().is_none_or(|problem| trigger.problem.as_ref() == Some(problem))
                && rule.severity.is_none_or(|severity| severity == trigger.severity)
                && rule.scope.is_none_or(|scope| scope == trigger.scope)
                && rule.fix.is_none_or(|fix| fix == trigger.fix)
                && (rule.during.is_empty() || self.phase.as_ref().is_some_and(|phase| rule.during.contains(phase)))
        };
        let found = rules.iter().enumerate().find(|(_, rule)| fits(rule));
        found.or_else(|| rules.iter().enumerate().next_back())
    }

    fn authority(&self, rule: &Rule) -> Authority {
        let of_plan = || self.plan.as_ref().map(|plan| plan.decision.authority.clone()).unwrap_or_default();
        rule.authority.clone().unwrap_or_else(of_plan)
    }

    /// Nothing may start by itself now; until when, if that ends.
    fn barred(&self, now: Timestamp) -> Option<Option<Timestamp>> {
        let plan = self.plan.as_ref()?;
        let window = plan.window.as_ref();
        if let Some(opens) = window.and_then(|window| window.opens).filter(|opens| now < *opens) {
            return Some(Some(opens));
        }
        let point = window.and_then(|window| window.point_of_no_return).zip(self.cutover).map(|(after, at)| at + after);
        let stands_in =
            |name: &Name| plan.steps.values().any(|step| step.on_failure == OnFailure::Fallback(name.clone()));
        let serves = plan
            .steps
            .iter()
            .any(|(name, step)| counts_during(&step.during, self.phase.as_deref()) && !stands_in(name));
        let idle = self.phase.is_some() && !serves;
        (point.is_some_and(|point| point <= now) || idle).then_some(None)
    }

    /// What a record must be, by the one before.
    fn follows(&self, record: &Record) -> Option<String> {
        match (&self.before, &record.event) {
            (Before::Decided { answer: Answer::RollBack, .. }, Event::RunStarted { .. }) => None,
            (Before::Decided { answer: Answer::RollBack, .. }, _) => {
                Some("a rollback was decided, and none begins".to_owned())
            }
            (Before::Fired(name), event) if !matches!(event, Event::Decided { .. }) && !self.is_running => {
                let first = self.incident.as_ref().is_some_and(|incident| incident.question.is_none());
                let rule = self.rule(name).map(|(_, rule)| rule);
                let starts = rule.is_some_and(|rule| rule.answer == Answer::RollBack);
                let starts = starts && self.barred(record.at).is_none();
                // Whatever was said, or has ended, before it fired.
                let question = self.incident.as_ref().and_then(|incident| incident.question.as_ref());
                let forward = question.is_some_and(|asked| asked.answer == Answer::FixForward);
                let asks = forward && rule.is_some_and(|rule| strictness(rule) > 0);
                (first || starts || asks).then(|| format!("{name} has fired, and its rule says nothing"))
            }
            _ => None,
        }
    }

    fn of(&self, record: &Record) -> Vec<String> {
        let at = record.at;
        let problem = match &record.event {
            Event::IncidentOpened { .. } if self.muted.is_some_and(|until| at < until) => {
                Some("an incident opens while it is muted".to_owned())
            }
            Event::IncidentOpened { trigger, .. } | Event::IncidentJoined { trigger }
                if !self.holds.contains(trigger) =>
            {
                Some(format!("{trigger} is in an incident and does not hold"))
            }
            Event::IncidentJoined { trigger }
                if self.incident.as_ref().is_some_and(|incident| incident.raised.contains_key(trigger)) =>
            {
                Some(format!("{trigger} is in the incident already, and joins it"))
            }
            Event::IncidentOpened { trigger, .. } if !self.is_looked_at(trigger) => {
                Some(format!("{trigger} opens an incident, and nobody has looked since the last start"))
            }
            Event::TriggerFired { trigger, .. } if self.is_asleep(trigger) => {
                Some(format!("{trigger} fires in a phase in which it sleeps"))
            }
            Event::TriggerHealed { trigger } => {
                let healed = self.healing.get(trigger).zip(self.trigger(trigger));
                let early = healed.is_none_or(|(since, trigger)| at < *since + trigger.dwell);
                early.then(|| format!("{trigger} has healed before its dwell"))
            }
            Event::WordGiven { who, roles, .. } => {
                let question = self.incident.as_ref().and_then(|incident| incident.question.as_ref());
                let asked = question.map(|asked| asked_roles(&asked.authority)).unwrap_or_default();
                let has_say = !roles.is_empty() && roles.iter().all(|role| asked.contains(role));
                (!has_say || self.is_running).then(|| format!("{who} has no say, and says something"))
            }
            Event::Decided { trigger, answer, asks, settled, .. } => {
                return self.decided(at, trigger, *answer, asks.as_ref(), *settled);
            }
            Event::RunStarted { phase, only, .. } => return self.starts(at, phase.as_deref(), only),
            Event::IncidentClosed { outcome: IncidentOutcome::Recovered } => {
                let early = self.incident.as_ref().is_none_or(|incident| !incident.raised.is_empty());
                early.then(|| "an incident is closed as recovered, and a trigger of it has not healed".to_owned())
            }
            _ => None,
        };
        problem.into_iter().collect()
    }

    fn is_asleep(&self, name: &str) -> bool {
        let involved = self.incident.as_ref().is_some_and(|incident| incident.raised.contains_key(name));
        let counts = |trigger: &Trigger| counts_during(&trigger.during, self.phase.as_deref());
        !involved && !self.trigger(name).is_some_and(counts)
    }

    fn decided(
        &self,
        at: Timestamp,
        trigger: &str,
        answer: Answer,
        asks: Option<&Question>,
        settled: bool,
    ) -> Vec<String> {
        let (Some(incident), Some(asks)) = (&self.incident, asks) else {
            return vec!["something is decided, and nothing was asked".to_owned()];
        };
        let (new, old) = (Asked::of(answer, asks), incident.question.as_ref());
        let barred = self.barred(at);
        let mut problems = Vec::new();
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                problems.push(format!("{trigger}: {what}"));
            }
        };
        let over = old.filter(|old| old.waits() && old.ends.is_some_and(|ends| ends <= at));
        let due = over.is_some_and(|old| old.then == Some(Answer::RollBack)) && self.still_holds(incident);
        let wanted = if barred.is_some() { Answer::Decide } else { Answer::RollBack };
        match (&self.before, settled) {
            (_, true) => {
                let agreed = incident.words.values().all(|(_, word)| *word == answer);
                let enough = old.is_some_and(|old| is_enough(&old.authority, &incident.words));
                let by_people = self.before == Before::Word && agreed && enough;
                let in_the_end = answer == Answer::FixForward && over.is_some_and(|old| old.then == Some(answer));
                // A person who rolls back decides by doing it.
                let by_hand = answer == Answer::RollBack && self.is_by_hand(at);
                expect(
                    by_people || in_the_end || by_hand,
                    "it is settled by nobody, by too few, or by people who do not agree",
                );
            }
            // Whatever has just turned, or joins: the time is over.
            (_, false) if due && answer == wanted => {}
            (Before::Fired(name), false) if name == trigger => {
                let Some((index, rule)) = self.rule(name) else { return vec!["no rule fits".to_owned()] };
                expect(asks.rule == index, "the rule is not the first that fits");
                expect(new.authority == self.authority(rule), "the authority is not that of the rule");
                match (rule.answer, barred) {
                    (Answer::RollBack, Some(until)) => {
                        expect(answer == Answer::Decide && new.ends == until, "people are not asked");
                    }
                    (wanted, _) => {
                        expect(answer == wanted, "the answer is not that of the rule");
                        let latest = rule.timebox.filter(|_| new.waits()).map(|time| at + time);
                        let soon = latest.is_none_or(|latest| new.ends.is_some_and(|ends| ends <= latest));
                        expect(soon, "people have longer than the rule gives them");
                        let then = new.ends.map(|_| rule.then.unwrap_or(Answer::RollBack));
                        expect(new.then == then, "what follows is not what the rule says");
                    }
                }
                let held = old.filter(|_| barred.is_none());
                let looser = held.is_some_and(|old| new.strictness() < old.strictness());
                expect(!looser || incident.is_settled, "a trigger that joins makes the answer looser");
                let asked = held.filter(|old| old.waits() && old.strictness() == new.strictness());
                let taken = asked.is_some_and(|old| old.authority != new.authority);
                expect(!taken, "the decision is taken from the people who are asked");
            }
            (Before::Fired(name), false) => {
                let rule = self.rule(name).map(|(_, rule)| rule);
                let ends = rule.and_then(|rule| rule.timebox).map(|time| at + time);
                let same = old.is_some_and(|old| {
                    (old.answer, old.then, &old.authority) == (new.answer, new.then, &new.authority)
                        && rule.is_some_and(|rule| strictness(rule) == old.strictness())
                });
                expect(same && new.ends == ends, "a trigger that joins changes more than the time");
            }
            (Before::Turned(_), false) => {
                let open: Vec<(&Name, &Rule)> = self.open(incident).collect();
                let own = open.iter().find(|(name, _)| *name == trigger).map(|(_, rule)| *rule);
                match own {
                    Some(rule) => {
                        let asked = barred.is_some() && rule.answer == Answer::RollBack && answer == Answer::Decide;
                        expect(answer == rule.answer || asked, "the answer is not that of the rule");
                        expect(new.authority == self.authority(rule), "the authority is not that of the rule");
                        let latest = incident.raised[trigger].at;
                        let latest = rule.timebox.filter(|_| new.waits()).map(|time| latest + time);
                        let soon = latest.is_none_or(|latest| new.ends.is_some_and(|ends| ends <= latest));
                        expect(soon || asked, "people have longer than the rule gives them");
                        let strictest = open.iter().all(|(_, other)| strictness(other) <= strictness(rule));
                        expect(strictest, "another trigger asks for more");
                        let starts = answer == Answer::RollBack;
                        expect(!starts || self.still_holds(incident), "nothing holds");
                    }
                    None => {
                        expect(open.is_empty() && incident.raised.contains_key(trigger), "it asks for nothing");
                        expect(answer == Answer::FixForward, "what was decided does not stand");
                    }
                }
            }
            (_, false) => {
                expect(due, "people are passed over before their time is over, or nothing holds");
                expect(!due, "something else than a rollback follows");
            }
        }
        let present = old.filter(|_| !incident.is_settled && !settled).and_then(|old| old.ends);
        if let Some(present) = present.filter(|_| new.waits()) {
            // A trigger that has healed takes its time with it.
            let healed = matches!(self.before, Before::Turned(_));
            let extended = !healed && new.ends.is_none_or(|ends| ends > present);
            expect(!extended || barred == Some(new.ends), "the timebox is extended");
        }
        problems
    }

    fn starts(&self, at: Timestamp, phase: Option<&str>, only: &[Name]) -> Vec<String> {
        if only.is_empty() && self.plan.as_ref().is_none_or(|plan| !plan.is_served(phase)) {
            return vec!["a rollback starts in a phase that no step serves".to_owned()];
        }
        let problem = match &self.before {
            Before::Decided { answer: Answer::RollBack, settled: false } if self.barred(at).is_some() => {
                Some("a rollback starts by itself where nothing may")
            }
            Before::Decided { answer: Answer::RollBack, .. } => None,
            _ => (!self.is_by_hand(at)).then_some("a rollback starts, and nobody asked for it"),
        };
        problem.map(str::to_owned).into_iter().collect()
    }

    fn is_by_hand(&self, at: Timestamp) -> bool {
        let commanded = self.commanded.as_ref();
        commanded.is_some_and(|(then, verb)| *then == at && matches!(verb.as_str(), "rollback" | "drill"))
    }

    fn remember(&mut self, record: &Record) {
        let at = record.at;
        self.before = match &record.event {
            Event::TriggerHealed { trigger } | Event::HealingReset { trigger } => Before::Turned(trigger.clone()),
            Event::IncidentOpened { trigger, .. } | Event::IncidentJoined { trigger } => Before::Fired(trigger.clone()),
            Event::WordGiven { .. } => Before::Word,
            Event::Decided { answer, settled, .. } => Before::Decided { answer: *answer, settled: *settled },
            _ => Before::Other,
        };
        match &record.event {
            Event::Commanded { verb, .. } => self.commanded = Some((at, verb.clone())),
            Event::PlanPinned { plan, .. } => {
                self.plan = Some(plan.clone());
                (self.read, self.holds, self.healing) = Default::default();
            }
            Event::AttemptBegun => (self.cutover, self.phase) = (None, None),
            Event::CutoverMarked => self.cutover = Some(at),
            Event::PhaseBegun { phase } => self.phase = Some(phase.clone()),
            Event::Muted { until, .. } => self.muted = Some(*until),
            Event::Unmuted { .. } | Event::Disarmed { .. } => self.muted = None,
            Event::WatchResumed { clock_set_s, .. } => self.restarts(SignedDuration::from_secs(*clock_set_s)),
            Event::SignalTurned { signal, .. } => {
                self.read.insert(signal.clone());
            }
            Event::TriggerFired { trigger, .. } | Event::HealingReset { trigger } => {
                self.healing.remove(trigger);
                self.holds.insert(trigger.clone());
            }
            Event::HealingStarted { trigger } => {
                self.holds.remove(trigger);
                self.healing.insert(trigger.clone(), at);
            }
            Event::TriggerHealed { trigger } | Event::DwellReset { trigger } => {
                self.holds.remove(trigger);
                self.healing.remove(trigger);
                // What fires again is asked about anew; while a rollback runs, nothing is asked.
                if let Some(incident) = self.incident.as_mut().filter(|_| !self.is_running) {
                    incident.raised.remove(trigger);
                }
            }
            Event::RunStarted { .. } | Event::UndoStarted { .. } => self.is_running = true,
            Event::RunEnded { .. } => {
                self.is_running = false;
                (self.cutover, self.phase) = (None, None);
            }
            Event::IncidentOpened { trigger, .. } => {
                let raised = BTreeMap::from([(trigger.clone(), self.raised(at, trigger))]);
                self.incident = Some(Incident { triggers: vec![trigger.clone()], raised, ..Incident::default() });
            }
            Event::IncidentJoined { trigger } => {
                let raised = self.raised(at, trigger);
                let Some(incident) = &mut self.incident else { return };
                if !incident.triggers.contains(trigger) {
                    incident.triggers.push(trigger.clone());
                }
                incident.raised.insert(trigger.clone(), raised);
            }
            Event::IncidentClosed { .. } => self.incident = None,
            _ => self.in_incident(&record.event),
        }
    }

    fn raised(&self, at: Timestamp, trigger: &str) -> Raised {
        Raised { at, rule: self.rule(trigger).map(|(index, _)| index), is_settled: false }
    }

    fn in_incident(&mut self, event: &Event) {
        let Some(incident) = &mut self.incident else { return };
        match event {
            Event::WordGiven { who, roles, word, .. } => {
                incident.words.insert(who.clone(), (roles.clone(), *word));
            }
            Event::Decided { answer, asks: Some(asks), settled, .. } => {
                // Other people are asked anew.
                let same = incident.question.as_ref().is_some_and(|asked| asked.authority == asks.authority);
                if *settled || !same {
                    incident.words.clear();
                }
                incident.raised.values_mut().for_each(|raised| raised.is_settled |= *settled);
                incident.question = Some(Asked::of(*answer, asks));
                incident.is_settled = *settled;
            }
            _ => {}
        }
    }

    /// Nothing was looked at meanwhile, and what was promised by the clock moves with it when it is set.
    fn restarts(&mut self, set: SignedDuration) {
        self.read.clear();
        self.holds.extend(std::mem::take(&mut self.healing).into_keys());
        if let Some(incident) = &mut self.incident {
            incident.raised.values_mut().for_each(|raised| raised.at += set);
        }
        let question = self.incident.as_mut().and_then(|incident| incident.question.as_mut());
        let times = [&mut self.cutover, &mut self.muted].into_iter().chain(question.map(|asked| &mut asked.ends));
        times.flatten().for_each(|time| *time += set);
    }
}

fn asked_roles(authority: &Authority) -> Vec<Name> {
    match authority.roles() {
        [] => vec![OPERATOR.to_owned()],
        roles => roles.to_vec(),
    }
}

/// Whether there is somebody for each role who is asked, and each for one only.
fn is_enough(authority: &Authority, words: &BTreeMap<String, (Vec<Name>, Answer)>) -> bool {
    match authority {
        Authority::AnyOf(_) => !words.is_empty(),
        Authority::AllOf { all } => {
            // Every way to give each person at most one role; there are few of both.
            let mut covered: BTreeSet<Vec<Name>> = BTreeSet::from([Vec::new()]);
            for (roles, _) in words.values() {
                let with = |done: &Vec<Name>| {
                    let more = roles.iter().map(|role| {
                        let mut more = done.clone();
                        more.push(role.clone());
                        more.sort_unstable();
                        more
                    });
                    more.collect::<Vec<_>>()
                };
                let more: Vec<Vec<Name>> = covered.iter().flat_map(with).collect();
                covered.extend(more);
            }
            let mut wanted = all.clone();
            wanted.sort_unstable();
            covered.contains(&wanted)
        }
    }
}

#[cfg(test)]
#[path = "deciding_tests.rs"]
mod tests;
