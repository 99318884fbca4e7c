//! From a trigger that fires to the beginning of a run, or to an end without one: every way, over core's own `decide` and `evolve`.
//! It is a small graph in front of the run, since a run does not depend on who began it, but for its phase.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::{sync::Arc, time::Duration};

use belay_core::{
    change::Baseline,
    decision::{authority, authority_text, rule_for},
    elapsed::is_own,
    event::{EVENT_VERSION, Event, IncidentOutcome, Record},
    input::{Asked, Authority as Roles, Input, Verb},
    migration::Migration,
    reading::{Health, Reading},
    watch::{Dwell, signals_of},
};
use belay_plan::{
    duration,
    model::{Answer, Authority, Name, OnDrift, Plan, counts_during},
};
use jiff::Timestamp;

use super::{
    decision_replay,
    incident_ends::{IncidentEnd, IncidentWays, WayToDecide, When},
    timeline::Happening,
};
use crate::rehearsal::script::is_before_cutover;

/// Of one rule no more states are searched than this: people who all have to agree can say very many things.
const STATES_MAX: usize = 200_000;

/// After so many states somebody may say that it is enough.
const TOLD_EVERY: usize = 256;

type Progress<'p> = &'p mut dyn FnMut(usize) -> bool;

const BEGIN: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Later than anything that people are given time for.
const OPENS: Timestamp = Timestamp::constant(2_082_758_400, 0);

/// What can happen to an incident.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Move {
    /// The trigger's signals turn, and stay so for its dwell, if that is not cut short.
    Turns {
        trigger: usize,
        unhealthy: bool,
        dwells: bool,
    },
    /// The same, right before the time is over.
    TurnsLate {
        trigger: usize,
        unhealthy: bool,
    },
    Says {
        person: usize,
        roll_back: bool,
    },
    TimeIsOver,
    Phase {
        phase: usize,
    },
    /// The process ends and starts again, at once or after the time that people had.
    Dies {
        late: bool,
    },
}

pub(super) struct Person {
    who: String,
    pub(super) roles: Vec<Name>,
}

#[derive(Clone)]
pub(super) struct Node {
    pub(super) state: Migration,
    pub(super) now: Timestamp,
    red: BTreeSet<usize>,
    /// What was decided last, and by whom.
    by: By,
    /// By whom the question was settled last: people, or the end of their time.
    settled_by: By,
    /// The trigger that has just fired into the incident, or a person has just spoken.
    before: Option<(By, Name)>,
    /// How the incident came to its end, or the run to its beginning.
    end: Option<IncidentEnd>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Rule,
    People,
    Time,
}

/// Ends that were found, each with the shortest way.
type Found = BTreeMap<At, Way>;

type At = (IncidentEnd, Option<Name>, When);

/// With the trigger that may join.
type Way = (Option<Name>, Node, Vec<Move>);

/// The rules that a trigger matches: in the phase of the search, and in each other. None: it sleeps there.
type Rules = Vec<Option<usize>>;

pub(super) struct Search<'p> {
    /// As it was written.
    pub(super) whole: &'p Plan,
    plan: Arc<Plan>,
    pub(super) phase: Option<&'p str>,
    /// One for each of the rules that triggers match, in each phase.
    triggers: Vec<Name>,
}

/// `plan`: whole. `phase`: the one in which the triggers fire. `progress` hears of the number of states now and then, and answers
/// whether to go on.
pub fn incidents(plan: &Plan, phase: Option<&str>, progress: Progress<'_>) -> Vec<IncidentWays> {
    let rule = |name: &Name, phase: Option<&str>| {
        let trigger = &plan.triggers[name];
        counts_during(&trigger.during, phase).then(|| rule_for(plan, trigger, phase).0)
    };
    // Of triggers that match the same rule, whatever the phase, one opens the incident, and one joins it.
    let mut alike: BTreeMap<Rules, Vec<Name>> = BTreeMap::new();
    let mut by_rule: BTreeMap<usize, Vec<Name>> = BTreeMap::new();
    for name in plan.triggers.keys() {
        let others: Rules = plan.phases.keys().map(|phase| rule(name, Some(phase))).collect();
        let like_it = alike.entry([vec![rule(name, phase)], others].concat()).or_default();
        if like_it.len() < 2 {
            like_it.push(name.clone());
        }
        if let Some(rule) = rule(name, phase) {
            by_rule.entry(rule).or_default().push(name.clone());
        }
    }
    let triggers: Vec<Name> = alike.into_values().flatten().collect();
    let search = Search { whole: plan, plan: Arc::new(watched(plan, &triggers)), phase, triggers };
    by_rule.into_iter().map(|(rule, names)| search.ways(rule, names, progress)).collect()
}

/// The plan as far as decisions go by it: every signal can turn, whatever makes it so.
fn watched(plan: &Plan, triggers: &[Name]) -> Plan {
    let mut plan = plan.clone();
    (plan.notify, plan.confirm) = (Arc::default(), Vec::new());
    for trigger in plan.triggers.values_mut() {
        trigger.if_unknown = None;
    }
    plan.triggers.retain(|name, _| triggers.contains(name));
    let read: BTreeSet<Name> = plan.triggers.values().flat_map(|trigger| signals_of(&trigger.when)).cloned().collect();
    plan.signals.retain(|name, _| read.contains(name));
    for signal in plan.signals.values_mut().filter(|signal| is_own(signal)) {
        "alarm".clone_into(&mut signal.kind);
    }
    for step in plan.steps.values_mut() {
        (step.expect, step.on_drift) = (None, OnDrift::Proceed);
        step.require.clear();
        step.verify.clear();
    }
    plan
}

impl Search<'_> {
    fn ways(&self, rule: usize, triggers: Vec<Name>, progress: Progress<'_>) -> IncidentWays {
        let opens = self.triggers.iter().position(|name| triggers.contains(name)).unwrap_or_default();
        let mut found = Found::new();
        let (mut states, mut complete) = (0, true);
        let window = self.plan.window.as_ref();
        let has_point = window.is_some_and(|window| window.point_of_no_return.is_some());
        let opens_later = window.is_some_and(|window| window.opens.is_some());
        let whens = [(When::Open, true), (When::BeforeItOpens, opens_later), (When::PastThePoint, has_point)];
        // Alone, and with another trigger that joins: more of them come to nothing else, since the question is always that of one
        // rule, and none gives it more time.
        let joining = (0..self.triggers.len()).filter(|other| *other != opens).map(Some);
        for with in std::iter::once(None).chain(joining) {
            let pair = self.only(opens, with);
            for when in whens.iter().filter(|(_, has)| *has).map(|(when, _)| *when) {
                complete &= pair.search(with.map(|_| 1), when, &mut states, &mut found, progress);
            }
        }
        let way = |((end, phase, when), (with, node, moves)): (At, Way)| {
            let pair = self.only(opens, self.place(with.as_ref()));
            let words = words(end, &node);
            WayToDecide {
                end,
                phase,
                when,
                happenings: pair.happenings(with.is_some(), when, &moves),
                replay: decision_replay::replay(&pair, with.is_some(), when, &moves, (end, &words)),
                words,
                joins: with,
            }
        };
        let ways = found.into_iter().map(way).collect();
        IncidentWays { triggers, rule: rule + 1, question: self.question(opens), ways, complete, states }
    }

    fn search(
        &self,
        with: Option<usize>,
        when: When,
        states: &mut usize,
        found: &mut Found,
        progress: Progress<'_>,
    ) -> bool {
        let Some(start) = self.start(0, when) else { return true };
        if !progress(*states) {
            return false;
        }
        let people = self.people([Some(0), with]);
        let mut known = HashSet::from([start.key()]);
        let mut queue = VecDeque::from([(start, Vec::new())]);
        while let Some((node, moves)) = queue.pop_front() {
            *states += 1;
            let is_told = states.is_multiple_of(TOLD_EVERY);
            if *states > STATES_MAX || (is_told && !progress(*states)) {
                return false;
            }
            if let Some(end) = node.ends() {
                let run = node.state.run.as_ref().and_then(|run| run.phase.as_deref());
                let phase = run.or(node.state.phase_name()).filter(|phase| Some(*phase) != self.phase);
                let at = (end, phase.map(str::to_owned), when);
                // An end that needs no other trigger is told without one.
                let better = |(known, _, way): &Way| known.is_some() == with.is_some() && moves.len() < way.len();
                if found.get(&at).is_none_or(better) {
                    found.insert(at, (with.map(|with| self.trigger(with).clone()), node.clone(), moves.clone()));
                }
            }
            if node.end.is_some() {
                continue;
            }
            for made in self.moves(&node, with, people.len()) {
                let Some(next) = self.play(&node, &made, &people) else { continue };
                if known.insert(next.key()) {
                    queue.push_back((next, [&moves[..], &[made]].concat()));
                }
            }
        }
        true
    }

    /// With the trigger that opens the incident, and one that may join: the others are not there.
    fn only(&self, opens: usize, with: Option<usize>) -> Self {
        let triggers: Vec<Name> =
            [Some(opens), with].into_iter().flatten().map(|one| self.triggers[one].clone()).collect();
        Search { whole: self.whole, plan: Arc::new(watched(&self.plan, &triggers)), phase: self.phase, triggers }
    }

    fn place(&self, name: Option<&Name>) -> Option<usize> {
        self.triggers.iter().position(|trigger| Some(trigger) == name)
    }

    pub(super) fn trigger(&self, place: usize) -> &Name {
        &self.triggers[place]
    }

    /// Armed, cut over, in its phase; then the trigger fires.
    pub(super) fn start(&self, opens: usize, when: When) -> Option<Node> {
        let state = Migration::new(self.plan.migration.clone());
        let mut node = Node {
            state,
            now: BEGIN,
            red: BTreeSet::new(),
            by: By::Rule,
            settled_by: By::Time,
            before: None,
            end: None,
        };
        let mut plan = self.plan.clone();
        if let Some(window) = &mut Arc::make_mut(&mut plan).window {
            window.opens = (when == When::BeforeItOpens).then_some(OPENS);
            if when != When::PastThePoint {
                window.point_of_no_return = None;
            }
        }
        let baseline = Baseline {
            migration: plan.migration.clone(),
            captured: BEGIN,
            plan_sha256: String::new(),
            steps: plan.steps.iter().map(|(name, step)| (name.clone(), entry(step))).collect(),
        };
        let arm = Verb::Arm {
            plan,
            plan_sha256: String::new(),
            baseline: Some(Arc::new(baseline)),
            readings: Vec::new(),
            wait_for_green: false,
            detours: Vec::new(),
        };
        node.ask("operator", None, arm)?;
        self.read(&mut node)?;
        if !is_before_cutover(&self.plan, self.phase) {
            node.ask("operator", None, Verb::Cutover)?;
        }
        if let Some(phase) = self.phase.filter(|phase| Some(*phase) != node.state.phase_name()) {
            node.ask("operator", None, Verb::Phase { phase: phase.to_owned() })?;
        }
        if when == When::PastThePoint {
            node.now = node.state.point_of_no_return()?;
            node.feed(&Input::Tick)?;
        }
        self.turn(&mut node, opens, true, true)?;
        (node.state.incident.is_some() || node.state.run.is_some()).then_some(node)
    }

    pub(super) fn people(&self, triggers: [Option<usize>; 2]) -> Vec<Person> {
        let phases = self.plan.phases.keys().map(|name| Some(name.as_str())).chain([self.phase]);
        let mut people: Vec<Person> = Vec::new();
        for (trigger, phase) in
            triggers.into_iter().flatten().flat_map(|one| phases.clone().map(move |phase| (one, phase)))
        {
            let rule = rule_for(&self.plan, &self.plan.triggers[self.trigger(trigger)], phase).1;
            let asked = rule.authority.clone().unwrap_or_else(|| self.plan.decision.authority.clone());
            let roles = match &asked {
                Authority::AnyOf(roles) => roles.get(..1).unwrap_or_default(),
                Authority::AllOf { all } => all,
            };
            let default = [belay_core::OPERATOR.to_owned()];
            for role in if roles.is_empty() { &default[..] } else { roles } {
                // One person of each role; where a role is asked for twice, two.
                let wanted = roles.iter().filter(|other| *other == role).count().max(1);
                let has = people.iter().filter(|person| person.roles.contains(role)).count();
                people.extend(
                    (has..wanted)
                        .map(|number| Person { who: format!("{role} {}", number + 1), roles: vec![role.clone()] }),
                );
            }
        }
        people
    }

    fn moves(&self, node: &Node, with: Option<usize>, people: usize) -> Vec<Move> {
        let mut moves = Vec::new();
        let ends = node.timebox_ends();
        for trigger in [Some(0), with].into_iter().flatten() {
            let unhealthy = !node.red.contains(&trigger);
            for dwells in [false, true] {
                moves.push(Move::Turns { trigger, unhealthy, dwells });
            }
            if ends.is_some() {
                moves.push(Move::TurnsLate { trigger, unhealthy });
            }
        }
        moves.extend((0..people).flat_map(|person| [true, false].map(|roll_back| Move::Says { person, roll_back })));
        if ends.is_some() {
            moves.push(Move::TimeIsOver);
        }
        let here = node.state.phase_name();
        let others = self.plan.phases.keys().enumerate().filter(|(_, phase)| Some(phase.as_str()) != here);
        moves.extend(others.map(|(phase, _)| Move::Phase { phase }));
        if with.is_some() {
            return moves; // how a second trigger joins does not depend on a restart
        }
        moves.push(Move::Dies { late: false });
        if ends.is_some() {
            moves.push(Move::Dies { late: true });
        }
        moves
    }

    /// None: nobody can make it, or core does not take it.
    pub(super) fn play(&self, before: &Node, made: &Move, people: &[Person]) -> Option<Node> {
        let mut node = before.clone();
        let ends = Node::timebox_ends;
        match made {
            Move::Turns { trigger, unhealthy, dwells } => self.turn(&mut node, *trigger, *unhealthy, *dwells)?,
            Move::TurnsLate { trigger, unhealthy } => {
                node.now = ends(&node)? - Duration::from_millis(1);
                node.feed(&Input::Tick)?;
                self.turn(&mut node, *trigger, *unhealthy, false)?;
            }
            Move::Says { person, roll_back } => {
                let person = &people[*person];
                node.ask(&person.who, Some(&person.roles), Verb::Decide { roll_back: *roll_back })?;
            }
            Move::TimeIsOver => {
                let ends = ends(&node)?;
                node.pass_to(ends)?;
            }
            Move::Phase { phase } => {
                let phase = self.plan.phases.get_index(*phase)?.0.clone();
                node.ask("operator", None, Verb::Phase { phase })?;
            }
            Move::Dies { late } => {
                if *late {
                    node.now = ends(&node)? + Duration::from_secs(1);
                }
                node.feed(&Input::Resumed { belay_version: String::new() })?;
                self.read(&mut node)?;
            }
        }
        Some(node)
    }

    fn turn(&self, node: &mut Node, trigger: usize, unhealthy: bool, dwells: bool) -> Option<()> {
        if unhealthy {
            node.red.insert(trigger);
        } else {
            node.red.remove(&trigger);
        }
        self.read(node)?;
        if dwells {
            let until = node.now + self.plan.triggers[self.trigger(trigger)].dwell;
            node.pass_to(until)?;
        }
        Some(())
    }

    /// All signals are read: red where a trigger wants that.
    fn read(&self, node: &mut Node) -> Option<()> {
        let red: BTreeSet<&Name> =
            node.red.iter().flat_map(|trigger| signals_of(&self.plan.triggers[self.trigger(*trigger)].when)).collect();
        for signal in self.plan.signals.keys() {
            let reading = Reading {
                signal: signal.clone(),
                taken: node.now,
                health: if red.contains(signal) { Health::Unhealthy } else { Health::Healthy },
                evidence: String::new(),
                source: "the world".to_owned(),
                unreadable: false,
                permanent: false,
                measured: None,
            };
            let input = Input::Reading(reading);
            if node.state.is_news(&input) {
                node.feed(&input)?;
            }
        }
        Some(())
    }

    fn question(&self, opens: usize) -> String {
        let rule = rule_for(&self.plan, &self.plan.triggers[self.trigger(opens)], self.phase).1;
        let asked = rule.authority.clone().unwrap_or_else(|| self.plan.decision.authority.clone());
        let asked = match asked.roles() {
            [] => "the role operator".to_owned(),
            _ => authority_text(&asked),
        };
        let timebox = rule.timebox.map(duration::format);
        let then = if rule.then == Some(Answer::FixForward) { "fix forward" } else { "roll back" };
        match (rule.answer, timebox) {
            (Answer::RollBack, _) => "roll back".to_owned(),
            (Answer::FixForward, _) => format!("fix forward, unless {asked} decides otherwise"),
            (Answer::FixFirst, Some(time)) => format!("fix first: {asked} decides within {time}; then {then}"),
            (Answer::Decide, Some(time)) => format!("{asked} decides within {time}; then {then}"),
            (_, None) => format!("{asked} decides, without end"),
        }
    }

    fn happenings(&self, joined: bool, when: When, moves: &[Move]) -> Vec<Happening> {
        let Some(mut node) = self.start(0, when) else { return Vec::new() };
        let (began, people) = (node.now, self.people([Some(0), joined.then_some(1)]));
        let happening = |node: &Node, who: &str, what: String| Happening {
            after_s: u64::try_from(node.now.duration_since(began).as_secs()).unwrap_or_default(),
            who: who.to_owned(),
            what,
            belay: node
                .state
                .incident
                .iter()
                .map(|incident| incident.why.clone())
                .filter(|why| !why.is_empty())
                .collect(),
        };
        let mut found = vec![happening(&node, "the world", format!("{} fires", self.trigger(0)))];
        for made in moves {
            let Some(next) = self.play(&node, made, &people) else { break };
            node = next;
            let (who, what) = match made {
                Move::Turns { trigger, unhealthy, .. } | Move::TurnsLate { trigger, unhealthy } => {
                    let late =
                        if matches!(made, Move::TurnsLate { .. }) { ", right before the time is over" } else { "" };
                    let turns = if *unhealthy { "turns red" } else { "turns green" };
                    ("the world", format!("{} {turns}{late}", self.trigger(*trigger)))
                }
                Move::Says { person, roll_back } => {
                    let word = if *roll_back { "decides to roll back" } else { "decides to fix forward" };
                    (people[*person].who.as_str(), word.to_owned())
                }
                Move::TimeIsOver => ("the clock", "the time that people had is over".to_owned()),
                Move::Phase { phase } => {
                    let name = self.plan.phases.get_index(*phase).map_or("", |(name, _)| name.as_str());
                    ("operator", format!("begins phase {name}"))
                }
                Move::Dies { late: false } => ("the process", "ends and is started again".to_owned()),
                Move::Dies { late: true } => {
                    ("the process", "ends, and is started again after the time that people had".to_owned())
                }
            };
            found.push(happening(&node, who, what));
        }
        found
    }
}

fn words(end: IncidentEnd, node: &Node) -> String {
    let asked = node.state.incident.as_ref().map(|incident| authority_text(&authority(&node.state, incident)));
    let asked = asked.unwrap_or_else(|| "people".to_owned());
    match end {
        IncidentEnd::RollsBackByRule => "it is rolled back at once".to_owned(),
        IncidentEnd::RollsBackByPeople => "people decide to roll back".to_owned(),
        IncidentEnd::RollsBackInTheEnd => "nobody decides in time: it is rolled back".to_owned(),
        IncidentEnd::Recovers => "it heals by itself: the incident is closed as recovered".to_owned(),
        IncidentEnd::FixForwardByRule => format!(
            "nothing is rolled back, as the rule says: traffic stays where it fails, until {asked} decides otherwise"
        ),
        IncidentEnd::FixForwardByPeople => {
            "people decide to fix forward: nothing is rolled back, traffic stays where it fails".to_owned()
        }
        IncidentEnd::FixForwardInTheEnd => {
            "nobody decides in time: fixed forward, traffic stays where it fails".to_owned()
        }
        IncidentEnd::Waits => {
            format!("nobody decides, and no time ends that: traffic stays where it fails, and {asked} is waited for")
        }
    }
}

fn entry(step: &belay_plan::model::Step) -> belay_core::change::BaselineEntry {
    belay_core::change::BaselineEntry {
        action: step.action.clone(),
        resource: step.resource.clone(),
        doc: serde_json::Value::Null,
    }
}

impl Node {
    fn feed(&mut self, input: &Input) -> Option<()> {
        if self.end.is_some() {
            return Some(()); // what comes then is of the run, or of the next incident
        }
        let events = self.state.decide(self.now, 0, input).ok()?;
        self.before = None;
        for event in events {
            self.note(&event);
            let record = Record {
                stream: String::new(),
                seq: self.state.seq + 1,
                version: EVENT_VERSION,
                at: self.now,
                actor: "belay".to_owned(),
                event,
                prev: self.state.head.clone(),
                hash: String::new(),
            };
            let folded = self.state.evolve(&record);
            debug_assert!(folded.is_ok(), "core decided what it cannot fold: {folded:?}");
            if self.end.is_some() {
                break;
            }
        }
        Some(())
    }

    /// Who decides, what begins a run, and what closes the incident.
    fn note(&mut self, event: &Event) {
        let before = self.before.take();
        match event {
            Event::IncidentOpened { trigger, .. } | Event::IncidentJoined { trigger } => {
                self.before = Some((By::Rule, trigger.clone()));
            }
            Event::WordGiven { .. } => self.before = Some((By::People, Name::new())),
            Event::Decided { trigger, answer, asks, settled, .. } => {
                let rules = self.state.plan.iter().flat_map(|plan| &plan.decision.rules);
                let rule = asks.as_ref().and_then(|asks| rules.clone().nth(asks.rule));
                // A trigger that joins when the time is over already is answered by that, not by its rule.
                let by_rule = rule.is_none_or(|rule| rule.answer == *answer);
                let of = |(by, fired): &(By, Name)| *by == By::People || (fired == trigger && by_rule);
                // What remains when a trigger has healed: what the rule of another says, or what was settled before.
                let is_ruled = rule.is_some_and(|rule| rule.answer == Answer::FixForward);
                let remains = || if is_ruled { By::Rule } else { self.settled_by };
                let remains = (*answer == Answer::FixForward && !settled).then(remains);
                self.by = before.filter(of).map(|(by, _)| by).or(remains).unwrap_or(By::Time);
                if *settled {
                    self.settled_by = self.by;
                }
            }
            Event::IncidentClosed { outcome: IncidentOutcome::Recovered } => self.end = Some(IncidentEnd::Recovers),
            Event::RunStarted { .. } => {
                self.end = Some(match self.by {
                    By::Rule => IncidentEnd::RollsBackByRule,
                    By::People => IncidentEnd::RollsBackByPeople,
                    By::Time => IncidentEnd::RollsBackInTheEnd,
                });
            }
            _ => {}
        }
    }

    /// When the time that people still have is over.
    pub(super) fn timebox_ends(&self) -> Option<Timestamp> {
        self.state.incident.as_ref()?.asks.as_ref()?.timebox_ends.filter(|ends| *ends > self.now)
    }

    fn ask(&mut self, who: &str, roles: Option<&[Name]>, verb: Verb) -> Option<()> {
        let authority = roles.map_or(Roles::Everything, |roles| Roles::Roles(roles.to_vec()));
        self.feed(&Input::Command(Asked { authority, ..Asked::new(who, "decided") }.command(verb)))
    }

    /// With a tick at each deadline on the way.
    fn pass_to(&mut self, until: Timestamp) -> Option<()> {
        while let Some(next) = self.state.wants().deadline.filter(|next| *next <= until && *next > self.now) {
            self.now = next;
            self.feed(&Input::Tick)?;
            if self.end.is_some() {
                return Some(());
            }
        }
        self.now = self.now.max(until);
        self.feed(&Input::Tick)
    }

    /// How it ends here if nobody does anything any more and nothing turns.
    fn ends(&self) -> Option<IncidentEnd> {
        let Some(incident) = self.state.incident.as_ref().filter(|_| self.end.is_none()) else { return self.end };
        let waits = incident.asks.as_ref().is_none_or(|asks| asks.timebox_ends.is_none());
        let holds = incident.triggers.iter().any(|name| self.state.triggers[name].dwell == Dwell::Fired);
        let end = match (incident.answer?, self.by) {
            (Answer::FixForward, By::Rule) => IncidentEnd::FixForwardByRule,
            (Answer::FixForward, By::People) => IncidentEnd::FixForwardByPeople,
            (Answer::FixForward, By::Time) => IncidentEnd::FixForwardInTheEnd,
            (Answer::Decide | Answer::FixFirst, _) if waits => IncidentEnd::Waits,
            _ => return None,
        };
        holds.then_some(end)
    }

    /// Two nodes with the same key have the same future: how much time is left does not matter, only whether any is.
    fn key(&self) -> String {
        let incident = self.state.incident.as_ref();
        let left = incident.and_then(|incident| incident.asks.as_ref()?.timebox_ends).map(|ends| ends > self.now);
        let dwells: Vec<char> = self
            .state
            .triggers
            .values()
            .map(|state| match state.dwell {
                Dwell::Quiet => 'q',
                Dwell::Running { .. } => 'r',
                Dwell::Paused { .. } => 'p',
                Dwell::Fired => 'f',
                Dwell::Healing { .. } => 'h',
            })
            .collect();
        let joined = incident.map(|incident| &incident.triggers);
        let standing = incident.map(belay_core::incident::Incident::standing);
        let phase = self.state.phase_name();
        let by = (self.by, self.settled_by);
        format!("{:?} {left:?} {dwells:?} {joined:?} {standing:?} {by:?} {phase:?} {:?}", self.end, self.red)
    }
}

#[cfg(test)]
#[path = "decisions_tests.rs"]
mod tests;
