//! Who decides an incident, until when, and what happens if nobody does.

use belay_plan::model::{Answer, Authority, Name, Plan, Rule, Situation, Trigger, counts_during};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    approval::OPERATOR,
    decide::Deciding,
    event::{Event, RunKind},
    incident::{Incident, Raised},
    input::{Asked, Authority as Asking, Refusal, RefusalKind},
    migration::Migration,
    verbs::{refuse_idle, wrong_state},
    watch::{Dwell, signals_of},
};

/// What people are asked about an open incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The rule that asks, counted from 0.
    pub rule: usize,
    /// The trigger's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Name>,
    /// Never extended; none: people are waited for without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timebox_ends: Option<Timestamp>,
    /// What follows at the end of the timebox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Answer>,
    pub authority: Authority,
}

/// One person's word on an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Word {
    pub who: String,
    /// The first of `roles`.
    pub role: Name,
    /// Those of their roles that have a say.
    pub roles: Vec<Name>,
    pub word: Answer,
    pub at: Timestamp,
    pub reason: String,
}

/// The rule that answers a trigger that fires in this phase: the first that matches.
pub fn rule_for<'p>(plan: &'p Plan, trigger: &Trigger, phase: Option<&str>) -> (usize, &'p Rule) {
    let situation = Situation {
        problem: trigger.problem.as_deref(),
        severity: trigger.severity,
        scope: trigger.scope,
        fix: trigger.fix,
        phase,
    };
    let rules = &plan.decision.rules;
    let found = rules.iter().position(|rule| rule.matches(&situation)).unwrap_or(rules.len().saturating_sub(1));
    (found, &rules[found])
}

/// The answer of the plan's matrix to a trigger that fires in this phase.
pub fn answer(plan: &Plan, trigger: &Trigger, phase: Option<&str>) -> Answer {
    rule_for(plan, trigger, phase).1.answer
}

/// Whether the trigger comes to a rollback in some phase without anybody having asked for it: at once, or when people have
/// not decided in time.
pub fn may_roll_back(plan: &Plan, trigger: &Trigger) -> bool {
    let phases = plan.phases.keys().map(|name| Some(name.as_str())).chain(plan.phases.is_empty().then_some(None));
    let mut counts = phases.filter(|phase| counts_during(&trigger.during, *phase));
    counts.any(|phase| comes_to_a_rollback(rule_for(plan, trigger, phase).1))
}

/// Whether the rule comes to a rollback without anybody having asked for it.
pub(crate) fn comes_to_a_rollback(rule: &Rule) -> bool {
    match rule.answer {
        Answer::RollBack => true,
        Answer::FixFirst | Answer::Decide => rule.timebox.is_some() && rule.then != Some(Answer::FixForward),
        Answer::FixForward => false,
    }
}

/// An answer with what it asks of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) answer: Answer,
    pub(crate) asks: Option<Question>,
}

impl Decided {
    fn by_rule(plan: &Plan, trigger: &Trigger, phase: Option<&str>, now: Timestamp) -> Self {
        let (index, rule) = rule_for(plan, trigger, phase);
        let waits = matches!(rule.answer, Answer::FixFirst | Answer::Decide);
        let timebox_ends = rule.timebox.filter(|_| waits).map(|time| now + time);
        let then = timebox_ends.map(|_| rule.then.unwrap_or(Answer::RollBack));
        let authority = rule.authority.clone().unwrap_or_else(|| plan.decision.authority.clone());
        Self {
            answer: rule.answer,
            asks: Some(Question { rule: index, problem: trigger.problem.clone(), timebox_ends, then, authority }),
        }
    }

    /// How near it is to a rollback that nobody has asked for.
    fn strictness(&self) -> u8 {
        match self.answer {
            Answer::RollBack => 3,
            Answer::FixFirst | Answer::Decide => match self.asks.as_ref().and_then(|asks| asks.then) {
                Some(Answer::RollBack) => 2,
                _ => 1,
            },
            Answer::FixForward => 0,
        }
    }

    fn ends(&self) -> Option<Timestamp> {
        self.asks.as_ref()?.timebox_ends
    }

    fn authority(&self) -> Option<&Authority> {
        Some(&self.asks.as_ref()?.authority)
    }

    /// What a trigger that joins makes of it: it can only make the answer stricter, or the time shorter. The people who are asked
    /// stay the same as long as the answer does.
    fn tightened(&self, mut joining: Self) -> Option<Tightened> {
        let (before, after) = (self.strictness(), joining.strictness());
        let (present, new) = (self.ends(), joining.ends());
        if after > before {
            if let Some(asks) = joining.asks.as_mut().filter(|asks| asks.timebox_ends.is_some()) {
                asks.timebox_ends = [present, new].into_iter().flatten().min();
            }
            return Some(Tightened::Other(joining));
        }
        let sooner = after == before && present.zip(new).is_some_and(|(present, new)| new < present);
        if sooner && self.authority() == joining.authority() {
            return Some(Tightened::Other(joining));
        }
        sooner.then(|| {
            let asks = self.asks.clone().map(|asks| Question { timebox_ends: new, ..asks });
            Tightened::Sooner(Self { answer: self.answer, asks })
        })
    }
}

enum Tightened {
    /// The question of the trigger that joins.
    Other(Decided),
    /// The same question, with less time.
    Sooner(Decided),
}

impl Incident {
    fn decided(&self) -> Option<Decided> {
        Some(Decided { answer: self.answer?, asks: self.asks.clone() })
    }

    /// What bears on what can still become of it, without times: for telling states apart.
    pub fn standing(&self) -> impl std::fmt::Debug + '_ {
        let asks = self.asks.as_ref().map(|asks| (asks.rule, asks.then, &asks.authority));
        let mut words: Vec<_> = self.last_words().into_iter().map(|word| (&word.who, &word.roles, word.word)).collect();
        words.sort_unstable_by_key(|(who, ..)| *who);
        let mut raised: Vec<_> = self.open_triggers().collect();
        raised.sort_by_key(|(_, raised)| raised.at);
        let raised: Vec<_> = raised.into_iter().map(|(name, raised)| (name, &raised.phase, raised.settled)).collect();
        (self.answer, asks, raised, words)
    }

    /// The words that count: the last of each person since the question was last settled.
    pub fn last_words(&self) -> Vec<&Word> {
        let mut last: Vec<&Word> = Vec::new();
        for word in self.words.iter().skip(self.words_settled) {
            last.retain(|before| before.who != word.who);
            last.push(word);
        }
        last
    }
}

impl Migration {
    /// The wall clock was set: people have as long as they were promised. An outage gives them no more.
    pub(crate) fn shift_timebox(&mut self, by: SignedDuration) {
        let Some(incident) = &mut self.incident else { return };
        let ends = incident.asks.iter_mut().filter_map(|asks| asks.timebox_ends.as_mut());
        for time in ends.chain(incident.raised.iter_mut().map(|raised| &mut raised.at)) {
            *time = time.saturating_add(by).unwrap_or(*time);
        }
    }

    /// What each trigger of the incident asks that has not healed and is not answered yet, in the order in which they came.
    fn open_questions(&self) -> impl Iterator<Item = (&Name, Decided)> {
        let found = self.plan.as_deref().zip(self.incident.as_ref());
        found.into_iter().flat_map(|(plan, incident)| {
            let mut open: Vec<_> = incident.open_triggers().filter(|(_, raised)| !raised.settled).collect();
            open.sort_by_key(|(_, raised)| raised.at);
            open.into_iter().filter_map(move |(name, raised)| Some((name, Self::question_of(plan, name, raised)?)))
        })
    }

    /// What this trigger of the incident asks, by its own rule.
    fn own_question(&self, name: &Name) -> Option<Decided> {
        let incident = self.incident.as_ref()?;
        let (_, raised) = incident.open_triggers().find(|(trigger, _)| *trigger == name)?;
        Self::question_of(self.plan.as_deref()?, name, raised)
    }

    fn question_of(plan: &Plan, name: &Name, raised: &Raised) -> Option<Decided> {
        Some(Decided::by_rule(plan, plan.triggers.get(name)?, raised.phase.as_deref(), raised.at))
    }

    /// The one question that they come to, and whose it is.
    fn open_question(&self) -> Option<(Name, Decided)> {
        let mut found: Option<(Name, Decided)> = None;
        for (name, own) in self.open_questions() {
            found = Some(match found.take() {
                None => (name.clone(), own),
                Some((first, present)) => match present.tightened(own) {
                    None => (first, present),
                    Some(Tightened::Other(own)) => (name.clone(), own),
                    Some(Tightened::Sooner(present)) => (first, present),
                },
            });
        }
        found
    }

    /// A trigger that holds, as far as is known now, and whose own rule leads to a rollback.
    fn rolls_back(&self) -> Option<Name> {
        let holds = |name: &Name| {
            let trigger = self.plan.as_ref().and_then(|plan| plan.triggers.get(name));
            self.triggers.get(name).is_some_and(|state| state.dwell == Dwell::Fired)
                && trigger.is_some_and(|trigger| self.is_read(trigger))
        };
        let answered = self.incident.as_ref().and_then(Incident::trigger);
        let strict = self.open_questions().filter(|(name, own)| own.strictness() >= 2 && holds(name));
        strict.map(|(name, _)| name).max_by_key(|name| Some(*name) == answered).cloned()
    }

    /// All signals of the trigger were read since the last restart.
    pub(crate) fn is_read(&self, trigger: &Trigger) -> bool {
        signals_of(&trigger.when).into_iter().all(|name| self.signals.get(name).is_some_and(|one| one.read))
    }
}

impl Deciding {
    /// A trigger has opened the incident, or joins it.
    pub(crate) fn answer_trigger(&mut self, plan: &Plan, name: &Name, trigger: &Trigger) {
        let own = Decided::by_rule(plan, trigger, self.state.phase_name(), self.now);
        let Some(incident) = &self.state.incident else { return };
        let tightened = match incident.decided() {
            None => Some(Tightened::Other(own)),
            Some(present) => present.tightened(own),
        };
        match tightened {
            None => {}
            Some(Tightened::Other(own)) => {
                let why = crate::incident::answer_text(name, trigger, own.answer);
                self.answer_by_itself(name, own, why, format!("trigger {name} fired"));
            }
            Some(Tightened::Sooner(present)) => {
                let answered = incident.trigger().unwrap_or(name).clone();
                let why = format!("{}; {name} joins, and leaves less time", incident.why);
                self.decided_by_itself(&answered, present, why);
            }
        }
    }

    /// A trigger of the incident has healed, or is red again before it had: what the others ask, or it as well, is what counts.
    pub(crate) fn ask_again(&mut self, turned: &Name) {
        let state = &self.state;
        let Some(incident) = state.incident.as_ref().filter(|_| state.open_run().is_none()) else { return };
        let first = incident.open_triggers().next().map(|(name, _)| name.clone());
        let (Some(present), Some(first)) = (incident.decided(), first) else { return };
        let (answered, decided, why) = match state.open_question() {
            Some((name, decided)) => {
                let trigger = state.plan.as_ref().and_then(|plan| plan.triggers.get(&name));
                let why = trigger.map(|trigger| crate::incident::answer_text(&name, trigger, decided.answer));
                (name, decided, why.unwrap_or_default())
            }
            // All that holds is answered: who decides otherwise are the people of its own rule.
            None => {
                let why = "what was decided before stands".to_owned();
                let asks = state.own_question(&first).and_then(|own| own.asks);
                let asks = asks.map(|asks| Question { timebox_ends: None, then: None, ..asks });
                (first, Decided { answer: Answer::FixForward, asks }, why)
            }
        };
        let answered_before = incident.trigger() == Some(&answered);
        let healed = state.triggers.get(turned).is_some_and(|state| !state.is_unwell());
        let why = if healed { format!("{turned} has healed; {why}") } else { why };
        let (decided, why) = self.within_bounds(decided, why);
        let both_forward = [present.answer, decided.answer] == [Answer::FixForward; 2];
        if both_forward && decided.authority() == present.authority() || answered_before && decided == present {
            return;
        }
        match decided.answer {
            Answer::RollBack if self.state.rolls_back().is_none() => {}
            Answer::RollBack => self.answer_by_itself(&answered, decided, why, format!("trigger {answered} holds")),
            _ => self.decided_by_itself(&answered, decided, why),
        }
    }

    /// Where nothing may start by itself, people are asked instead of a rollback.
    fn within_bounds(&self, mut decided: Decided, mut why: String) -> (Decided, String) {
        if decided.answer == Answer::RollBack
            && let Some((because, until)) = self.state.barred(self.now)
        {
            decided.answer = Answer::Decide;
            if let Some(asks) = &mut decided.asks {
                (asks.timebox_ends, asks.then) = (until, until.map(|_| Answer::RollBack));
            }
            why = format!("{why}; {because}: people decide");
        }
        (decided, why)
    }

    fn decided_by_itself(&mut self, trigger: &Name, decided: Decided, why: String) {
        let Decided { answer, asks } = decided;
        self.emit(Event::Decided { trigger: trigger.clone(), answer, why, asks, settled: false });
    }

    /// Nobody has said so.
    fn answer_by_itself(&mut self, trigger: &Name, decided: Decided, why: String, reason: String) {
        let (decided, why) = self.within_bounds(decided, why);
        let answer = decided.answer;
        self.decided_by_itself(trigger, decided, why);
        if answer == Answer::RollBack {
            self.start_run(RunKind::Real, reason, Vec::new());
        }
    }

    /// What happens when people have not decided in time.
    pub(crate) fn follow_timebox(&mut self) {
        let Some(incident) = self.state.incident.as_ref().filter(|_| self.state.open_run().is_none()) else { return };
        if timebox(incident).is_none_or(|ends| self.now < ends) {
            return;
        }
        let (Some(trigger), Some(asks)) = (incident.trigger().cloned(), incident.asks.clone()) else { return };
        if asks.then == Some(Answer::FixForward) {
            let why = "the time that people had was over, and nobody had decided".to_owned();
            let asks = Some(Question { timebox_ends: None, then: None, ..asks });
            return self.emit(Event::Decided { trigger, answer: Answer::FixForward, why, asks, settled: true });
        }
        if let Some(holds) = self.state.rolls_back() {
            let answer = Answer::RollBack;
            let asks = Some(Question { timebox_ends: None, then: None, ..asks });
            let why = format!("the time that people had was over, and {holds} still holds");
            let reason = format!("trigger {holds} still holds at the end of its timebox");
            self.answer_by_itself(&holds, Decided { answer, asks }, why, reason);
        }
    }

    /// When a timebox next wants a tick.
    pub(crate) fn timebox_deadline(state: &Migration) -> Option<Timestamp> {
        let incident = state.incident.as_ref().filter(|_| state.open_run().is_none())?;
        let acts = incident.asks.as_ref().is_some_and(|asks| asks.then == Some(Answer::FixForward));
        timebox(incident).filter(|_| acts || state.rolls_back().is_some())
    }

    // --- people --------------------------------------------------------------------------------------------------

    /// Who rolls back while an incident is open has decided it.
    pub(crate) fn answer_by_rollback(&mut self, asked: &Asked) {
        let Some(incident) = &self.state.incident else { return };
        let Some(trigger) = incident.trigger().cloned() else { return };
        let asks = incident.asks.clone().map(|asks| Question { timebox_ends: None, then: None, ..asks });
        self.deciders = vec![asked.actor.clone()];
        let (answer, why) = (Answer::RollBack, asked.reason.clone());
        self.emit(Event::Decided { trigger, answer, why, asks, settled: true });
    }

    pub(crate) fn decide_incident(&mut self, roll_back: bool, asked: &Asked) -> Result<(), Refusal> {
        self.refuse_while_running("decide")?;
        let Some(incident) = self.state.incident.as_ref() else {
            return Err(wrong_state("there is no open incident", "`belay rollback` rolls back without one"));
        };
        let authority = authority(&self.state, incident);
        let roles = say(&authority, asked)?;
        let word = if roll_back { Answer::RollBack } else { Answer::FixForward };
        if let Some(plan) = self.state.plan.as_ref().filter(|_| roll_back) {
            refuse_idle(plan, &[], self.state.phase_name())?;
        }
        if incident.last_words().iter().any(|said| said.who == asked.actor && said.word == word) {
            let waits = format!("it takes {}", authority_text(&authority));
            return Err(wrong_state(&format!("{} has said {} already", asked.actor, word.as_str()), &waits));
        }
        let Some(trigger) = incident.trigger().cloned() else { return Ok(()) };
        self.commanded("decide", asked, json!({ "answer": word }));
        let (who, reason) = (asked.actor.clone(), asked.reason.clone());
        self.emit(Event::WordGiven { who, roles, word, reason });
        let words = self.state.incident.as_ref().map(Incident::last_words).unwrap_or_default();
        if !words.iter().all(|said| said.word == word) || !covers(&authority, &words) {
            return Ok(());
        }
        self.deciders = words.iter().map(|said| said.who.clone()).collect();
        let why = asked.reason.clone();
        let asks = self.state.incident.as_ref().and_then(|incident| incident.asks.clone());
        let asks = asks.map(|asks| Question { timebox_ends: None, then: None, ..asks });
        self.emit(Event::Decided { trigger, answer: word, why, asks, settled: true });
        if roll_back {
            self.start_run(RunKind::Real, asked.reason.clone(), Vec::new());
        }
        Ok(())
    }
}

fn timebox(incident: &Incident) -> Option<Timestamp> {
    let waits = matches!(incident.answer, Some(Answer::FixFirst | Answer::Decide));
    incident.asks.as_ref().filter(|_| waits)?.timebox_ends
}

/// What follows at the end of the timebox. A rollback waits for the window to open; where nothing starts by itself any more, it is a question to
/// people, again.
pub fn follows(state: &Migration, incident: &Incident) -> Option<Answer> {
    let asks = incident.asks.as_ref()?;
    let barred = || asks.timebox_ends.filter(|_| incident.closed.is_none()).and_then(|ends| state.barred(ends));
    match asks.then? {
        Answer::RollBack if barred().is_some_and(|(_, until)| until.is_none()) => Some(Answer::Decide),
        then => Some(then),
    }
}

/// Whose word decides the incident.
pub fn authority(state: &Migration, incident: &Incident) -> Authority {
    let of_plan = || state.plan.as_ref().map(|plan| plan.decision.authority.clone()).unwrap_or_default();
    let authority = incident.asks.as_ref().map_or_else(of_plan, |asks| asks.authority.clone());
    if authority.roles().is_empty() { Authority::AnyOf(vec![OPERATOR.to_owned()]) } else { authority }
}

/// For people: `incident_commander or tech_lead`, `incident_commander and tech_lead (one person of each)`.
pub fn authority_text(authority: &Authority) -> String {
    match authority {
        Authority::AnyOf(roles) => format!("the role {}", roles.join(" or ")),
        Authority::AllOf { all } if all.len() == 1 => format!("the role {}", all[0]),
        Authority::AllOf { all } => format!("one person of each of the roles {}", all.join(" and ")),
    }
}

/// Those roles of the person that have a say.
fn say(authority: &Authority, asked: &Asked) -> Result<Vec<Name>, Refusal> {
    let roles = authority.roles();
    let has: Vec<Name> = match &asked.authority {
        Asking::Everything => roles.to_vec(),
        Asking::Roles(given) => roles.iter().filter(|role| given.contains(role)).cloned().collect(),
    };
    if !has.is_empty() {
        return Ok(has);
    }
    Err(Refusal {
        kind: RefusalKind::NotAllowed { role: roles.first().cloned().unwrap_or_default() },
        why: format!("{} may not decide: that takes {}", asked.actor, authority_text(authority)),
        help: "the daemon's `tokens` say who has which role".to_owned(),
    })
}

/// Whether these people are enough: each of them counts for one role.
fn covers(authority: &Authority, words: &[&Word]) -> bool {
    match authority {
        Authority::AnyOf(_) => !words.is_empty(),
        Authority::AllOf { all } => assign(all, words, &mut vec![false; words.len()]),
    }
}

/// Finds a person for each role. There are few roles and few people.
fn assign(roles: &[Name], words: &[&Word], taken: &mut [bool]) -> bool {
    let Some((role, rest)) = roles.split_first() else { return true };
    for person in 0..words.len() {
        if !taken[person] && words[person].roles.contains(role) {
            taken[person] = true;
            if assign(rest, words, taken) {
                return true;
            }
            taken[person] = false;
        }
    }
    false
}
