//! Random decision scripts: rules, timeboxes, authority, people who say the right thing, the wrong one, twice, late, against each
//! other or nothing, triggers that heal and come back, mutes over a breach, phases that move, a process that dies at any
//! moment. The witness reads every record. `BELAY_SCRIPTS=10000` plays more, `BELAY_SCRIPT=17` one of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use belay_core::{
    event::{Event, IncidentOutcome, Record, RunKind},
    input::{Asked, Authority as Asking, Verb},
    reading::Health,
    run::RunState,
};
use belay_engine::{Engine, Handle, Options, Sampler};
use belay_plan::model::*;
use belay_sim::{
    Chance, Faults, Rule as Shows,
    explore::{IncidentEnd, incidents},
};
use indexmap::IndexMap;

use crate::{
    plans::{plan, step, trigger, weights},
    scene::{Scene, virtually},
};

/// As many as fit in some seconds of a debug build.
const SCRIPTS: u64 = 600;

/// Signals are read this often, and what happens does so at the same moments or between them.
const POLL: Duration = Duration::from_secs(10);

/// So long is a script, in polls.
const LENGTH: u64 = 180;

/// And so long is waited then: for the longest timebox, and for a run.
const LAST: Duration = Duration::from_secs(15 * 60);

const ROLES: [&str; 3] = ["commander", "lead", "auditor"];
const PROBLEMS: [&str; 2] = ["bug", "data"];
const PHASES: [&str; 3] = ["backfill", "cutover", "soak"];
const SIGNALS: [&str; 3] = ["errors", "slow", "rows"];

/// Who they are, and the roles that their tokens have.
const PEOPLE: [(&str, &[&str]); 6] = [
    ("ana", &["commander"]),
    ("bo", &["commander"]),
    ("cy", &["lead"]),
    ("dee", &["commander", "lead"]),
    ("eve", &["auditor"]),
    ("fay", &["visitor"]),
];

#[derive(Debug, Clone)]
enum Happens {
    Says { who: &'static str, roles: &'static [&'static str], roll_back: bool },
    Asks(Verb),
    Dies { down: Duration },
}

struct Play {
    plan: Plan,
    /// From arming.
    happens: Vec<(Duration, Happens)>,
    health: BTreeMap<&'static str, Vec<(Duration, Health)>>,
}

fn some<T: Clone>(chance: &mut Chance, share: u32, from: &[T]) -> Option<T> {
    let picked = chance.pick(from).cloned();
    picked.filter(|_| chance.per_mille(share))
}

fn names(from: &[&str]) -> Vec<Name> {
    from.iter().map(|name| (*name).to_owned()).collect()
}

/// A moment of the script; two of three are those at which signals are read.
fn moment(chance: &mut Chance) -> Duration {
    let poll = POLL * u32::try_from(1 + chance.below(LENGTH)).unwrap();
    if chance.per_mille(650) { poll } else { poll + Duration::from_millis(chance.below(10_000)) }
}

fn random_authority(chance: &mut Chance) -> Authority {
    let roles = match chance.below(4) {
        0 => Vec::new(),
        1 => names(&ROLES[..2]),
        _ => names(&[chance.pick(&ROLES).unwrap()]),
    };
    match chance.below(3) {
        0 => Authority::AllOf {
            all: names([&ROLES[..2], &ROLES[1..], &["commander", "commander"]][chance.below(3) as usize]),
        },
        _ => Authority::AnyOf(roles),
    }
}

fn random_rule(chance: &mut Chance, phases: bool) -> Rule {
    let answers = [Answer::RollBack, Answer::FixFirst, Answer::Decide, Answer::Decide, Answer::FixForward];
    let answer = *chance.pick(&answers).unwrap();
    let timebox = match answer {
        Answer::FixFirst => Some(Duration::from_secs(60 * (1 + chance.below(12)))),
        Answer::Decide if chance.per_mille(800) => Some(POLL * u32::try_from(1 + chance.below(60)).unwrap()),
        _ => None,
    };
    let then = some(chance, 600, &[Answer::RollBack, Answer::FixForward]);
    Rule {
        problem: some(chance, 400, &PROBLEMS).map(str::to_owned),
        severity: some(chance, 400, &[Severity::Critical, Severity::Major]),
        scope: some(chance, 200, &[TriggerScope::SystemWide, TriggerScope::Isolated]),
        during: some(chance, 200, &PHASES).filter(|_| phases).map(str::to_owned).into_iter().collect(),
        timebox,
        then: then.filter(|_| answer == Answer::Decide && timebox.is_some()),
        authority: chance.per_mille(500).then(|| random_authority(chance)),
        ..Rule::always(answer)
    }
}

fn random_trigger(chance: &mut Chance, number: usize, phases: bool) -> Trigger {
    let one = |name: &str| Condition::Signal(name.to_owned());
    let when = match chance.below(4) {
        0 => Condition::Any(vec![one(SIGNALS[number]), one(SIGNALS[(number + 1) % 3])]),
        _ => one(SIGNALS[number]),
    };
    let policies = [UnknownPolicy::Alert, UnknownPolicy::RollBack, UnknownPolicy::Ignore];
    let unknown = |then| IfUnknown { after: Duration::from_secs(60), then };
    Trigger {
        when,
        severity: *chance.pick(&[Severity::Critical, Severity::Major, Severity::Minor]).unwrap(),
        scope: *chance.pick(&[TriggerScope::SystemWide, TriggerScope::Isolated]).unwrap(),
        problem: some(chance, 700, &PROBLEMS).map(str::to_owned),
        during: some(chance, 250, &PHASES).filter(|_| phases).map(str::to_owned).into_iter().collect(),
        if_unknown: some(chance, 400, &policies).map(unknown),
        ..trigger(SIGNALS[number], chance.below(4) * 20)
    }
}

fn random_plan(chance: &mut Chance) -> Plan {
    let phases = chance.per_mille(600);
    let during = |chance: &mut Chance| -> Vec<Name> {
        some(chance, 500, &[&PHASES[..1], &PHASES[1..], &PHASES[1..2]])
            .filter(|_| phases)
            .map(names)
            .unwrap_or_default()
    };
    let steps = [
        ("traffic", Step { during: during(chance), ..weights() }),
        ("copy", Step { during: during(chance), ..step("sim.job", Target::Own) }),
    ];
    let mut made = plan(steps.into_iter().take(1 + chance.below(2) as usize));
    made.signals.extend(SIGNALS.map(|name| (name.to_owned(), crate::plans::signal())));
    let triggers = 1 + chance.below(3) as usize;
    made.triggers =
        (0..triggers).map(|number| (format!("t{number}"), random_trigger(chance, number, phases))).collect();
    let mut rules: Vec<Rule> = (0..chance.below(4)).map(|_| random_rule(chance, phases)).collect();
    let last = random_rule(chance, false);
    rules.push(Rule { problem: None, severity: None, scope: None, ..last });
    made.decision = Decision { rules, authority: random_authority(chance), custom: true };
    if phases {
        let phase = |name: &str| (name.to_owned(), Phase { expected: None });
        made.phases = PHASES.map(phase).into_iter().collect::<IndexMap<_, _>>();
    }
    if chance.per_mille(300) {
        let begin: jiff::Timestamp = "2026-03-01T02:00:00Z".parse().unwrap();
        made.window = Some(Window {
            opens: chance.per_mille(500).then(|| begin + moment(chance)),
            point_of_no_return: chance.per_mille(600).then(|| moment(chance)),
            past: PastWindow::RequireApproval,
        });
    }
    made
}

impl Play {
    fn random(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let plan = random_plan(&mut chance);
        let mut happens = Vec::new();
        for _ in 0..chance.below(9) {
            let (who, roles) = *chance.pick(&PEOPLE).unwrap();
            happens.push((moment(&mut chance), Happens::Says { who, roles, roll_back: chance.per_mille(400) }));
        }
        let mut ask = |chance: &mut Chance, share, verb: Verb| {
            if chance.per_mille(share) {
                happens.push((moment(chance), Happens::Asks(verb)));
            }
        };
        ask(&mut chance, 700, Verb::Cutover);
        for _ in 0..2 {
            let time = POLL * u32::try_from(1 + chance.below(60)).unwrap();
            ask(&mut chance, 250, Verb::Mute { time });
            ask(&mut chance, 120, Verb::Unmute);
            let phase = (*chance.pick(&PHASES).unwrap()).to_owned();
            ask(&mut chance, 300, Verb::Phase { phase });
        }
        ask(&mut chance, 60, Verb::Rollback { kind: RunKind::Real, only: Vec::new(), pin: None });
        ask(&mut chance, 40, Verb::Disarm);
        for _ in 0..chance.below(3) {
            let down = Duration::from_secs([0, 1, 30, 200, 700][chance.below(5) as usize]);
            happens.push((moment(&mut chance), Happens::Dies { down }));
        }
        happens.sort_by_key(|(at, _)| *at);
        let health = SIGNALS.map(|name| {
            let turns = 1 + chance.below(6);
            let mut times: Vec<Duration> = (0..turns).map(|_| moment(&mut chance)).collect();
            times.sort_unstable();
            let states = [Health::Unhealthy, Health::Unhealthy, Health::Unhealthy, Health::Healthy, Health::Unknown];
            let shows = times.into_iter().map(|at| (at, *chance.pick(&states).unwrap())).collect();
            (name, shows)
        });
        Self { plan, happens, health: health.into_iter().collect() }
    }

    async fn play(&self, seed: u64) -> Seen {
        let scene = Scene::new(self.plan.clone(), seed, Faults::none());
        for (signal, shows) in &self.health {
            scene.world.set_rule(signal, Shows::Script(shows.clone()));
        }
        let mut handle = open(&scene).await;
        scene.arm(&handle).await.unwrap();
        scene.world.cut_over();
        let began = scene.clock.monotonic();
        let mut seen = Seen::default();
        for (at, what) in &self.happens {
            scene.clock.sleep((began + *at).saturating_sub(scene.clock.monotonic())).await;
            match what {
                Happens::Says { who, roles, roll_back } => {
                    let asked = Asked { authority: Asking::Roles(names(roles)), ..Asked::new(*who, "a word") };
                    let said = handle.command(asked.command(Verb::Decide { roll_back: *roll_back })).await;
                    *(if said.is_ok() { &mut seen.heard } else { &mut seen.refused }) += 1;
                }
                Happens::Asks(verb) => {
                    let asked = handle.command(Asked::new("gus", "asked for").command(verb.clone())).await;
                    seen.heard += u64::from(asked.is_ok());
                }
                Happens::Dies { down } => {
                    drop(handle); // as in a crash: nothing is finished
                    scene.clock.sleep(*down).await;
                    handle = open(&scene).await;
                }
            }
        }
        scene
            .clock
            .sleep((began + POLL * u32::try_from(LENGTH).unwrap()).saturating_sub(scene.clock.monotonic()))
            .await;
        scene.clock.sleep(LAST).await;
        let state = handle.snapshot().state.clone();
        handle.shutdown().await;
        let records = scene.witness.records();
        seen.incidents = ends(&records);
        seen.problems = scene.witness.violations();
        seen.problems.extend(scene.witness.undecided(scene.clock.now()));
        if seen.problems.is_empty() {
            scene.assert_sound(Some(&handle.snapshot().state));
        }
        for record in &records {
            match &record.event {
                Event::WordGiven { who, roles, .. } => {
                    let has = PEOPLE.iter().find(|(name, _)| name == who).map(|(_, roles)| *roles).unwrap_or_default();
                    if !roles.iter().all(|role| has.contains(&role.as_str())) {
                        seen.problems.push(format!("{who} speaks as {roles:?}"));
                    }
                }
                Event::IncidentClosed { outcome } => {
                    seen.ends.insert(format!("{outcome:?}"));
                    seen.recovered += u64::from(*outcome == IncidentOutcome::Recovered);
                }
                Event::Decided { settled: true, .. } => seen.settled += 1,
                Event::IncidentJoined { .. } => seen.joined += 1,
                Event::RunStarted { .. } => seen.runs += 1,
                _ => {}
            }
        }
        if state.run.as_ref().is_some_and(|run| matches!(run.state, RunState::Running | RunState::Confirming)) {
            seen.problems.push(format!("the run goes no further: {:?}", state.run.as_ref().map(|run| &run.why)));
        }
        seen
    }
}

async fn open(scene: &Scene) -> Handle {
    let sampler = Sampler::start(scene.ports.sensors.clone(), scene.clock.clone(), std::sync::Arc::new(()), POLL);
    let options = Options { sampler, belay_version: "0.1.0".to_owned(), readiness: None };
    Engine::open(scene.ports.clone(), &scene.plan.migration, options).await.unwrap()
}

/// How each incident came to its end before a run, told from the records: the trigger and the phase that it began with.
pub(crate) fn ends(records: &[Record]) -> Vec<(Name, Option<Name>, IncidentEnd)> {
    let mut found = Vec::new();
    let mut phase: Option<Name> = None;
    let mut open: Option<(Name, Option<Name>)> = None;
    let mut last: Option<(Answer, bool, [IncidentEnd; 2])> = None;
    let mut before: Option<(jiff::Timestamp, &Event)> = None;
    let mut rules: Vec<Rule> = Vec::new();
    let mut settled_by = IncidentEnd::FixForwardInTheEnd;
    for record in records {
        if let Event::PlanPinned { plan, .. } = &record.event {
            rules.clone_from(&plan.decision.rules);
        }
        match (&record.event, &open) {
            (Event::PhaseBegun { phase: begun }, _) => phase = Some(begun.clone()),
            (Event::RunEnded { .. }, _) => phase = None,
            (Event::IncidentOpened { trigger, .. }, _) => open = Some((trigger.clone(), phase.clone())),
            (Event::Decided { trigger, answer, asks, settled, .. }, _) => {
                let waits = asks.as_ref().is_none_or(|asks| asks.timebox_ends.is_none());
                // A trigger that joins when the time is over already is answered by that, not by its rule.
                let by_rule =
                    asks.as_ref().and_then(|asks| rules.get(asks.rule)).is_none_or(|rule| rule.answer == *answer);
                let ends = match before.filter(|(at, _)| *at == record.at).map(|(_, event)| event) {
                    Some(Event::IncidentOpened { trigger: fired, .. } | Event::IncidentJoined { trigger: fired })
                        if fired == trigger && by_rule =>
                    {
                        [IncidentEnd::RollsBackByRule, IncidentEnd::FixForwardByRule]
                    }
                    // A word, or a rollback that a person asks for.
                    Some(Event::WordGiven { .. } | Event::Commanded { .. }) => {
                        [IncidentEnd::RollsBackByPeople, IncidentEnd::FixForwardByPeople]
                    }
                    // What remains when a trigger has healed: what the rule of another says, or what was settled before.
                    _ if !settled => {
                        let rule = asks.as_ref().and_then(|asks| rules.get(asks.rule));
                        let is_ruled = rule.is_some_and(|rule| rule.answer == Answer::FixForward);
                        let forward = if is_ruled { IncidentEnd::FixForwardByRule } else { settled_by };
                        [IncidentEnd::RollsBackInTheEnd, forward]
                    }
                    _ => [IncidentEnd::RollsBackInTheEnd, IncidentEnd::FixForwardInTheEnd],
                };
                if *settled {
                    settled_by = ends[1];
                }
                last = Some((*answer, waits, ends));
            }
            (Event::RunStarted { .. }, Some((trigger, phase))) => {
                if let (Some((_, Event::Decided { .. })), Some((_, _, [rolls_back, _]))) = (before, last) {
                    found.push((trigger.clone(), phase.clone(), rolls_back));
                }
                open = None; // or a person called it, which asks nobody
            }
            (Event::IncidentClosed { outcome }, Some((trigger, phase))) => {
                if *outcome == IncidentOutcome::Recovered {
                    found.push((trigger.clone(), phase.clone(), IncidentEnd::Recovers));
                }
                open = None;
            }
            _ => {}
        }
        before = Some((record.at, &record.event));
    }
    if let (Some((trigger, phase)), Some((answer, waits, [_, forward]))) = (open, last) {
        match answer {
            Answer::FixForward => found.push((trigger, phase, forward)),
            Answer::Decide | Answer::FixFirst if waits => found.push((trigger, phase, IncidentEnd::Waits)),
            _ => {}
        }
    }
    found
}

/// What a script came to.
#[derive(Debug, Default)]
struct Seen {
    incidents: Vec<(Name, Option<Name>, IncidentEnd)>,
    heard: u64,
    refused: u64,
    settled: u64,
    joined: u64,
    runs: u64,
    recovered: u64,
    ends: BTreeSet<String>,
    problems: Vec<String>,
}

fn seen(seed: u64) -> Seen {
    let play = Play::random(seed);
    virtually(play.play(seed))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|number| number.parse().ok())
}

#[test]
fn every_decision_script_keeps_what_is_promised() {
    let seeds = match number("BELAY_SCRIPT") {
        Some(seed) => seed..seed + 1,
        None => 0..number("BELAY_SCRIPTS").unwrap_or(SCRIPTS),
    };
    let next = AtomicU64::new(seeds.start);
    let played = thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut played = Vec::new();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds.end {
                            return played;
                        }
                        let seen = std::panic::catch_unwind(|| seen(seed));
                        let broken = |_| Seen { problems: vec!["it panics".to_owned()], ..Seen::default() };
                        played.push((seed, seen.unwrap_or_else(broken)));
                    }
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<(u64, Seen)>>()
    });
    let mut played = played;
    played.sort_by_key(|(seed, _)| *seed);
    let broken: Vec<_> = played.iter().filter(|(_, seen)| !seen.problems.is_empty()).collect();
    let few: Vec<_> = broken.iter().take(5).map(|(seed, seen)| (seed, &seen.problems)).collect();
    let again = broken.first().map_or(0, |(seed, _)| *seed);
    assert!(
        broken.is_empty(),
        "{} of {} are broken: {few:#?}\nagain with: BELAY_SCRIPT={again} cargo test -p belay-sim --test it every_decision_script",
        broken.len(),
        played.len()
    );
    if played.len() > 100 {
        let sum = |of: fn(&Seen) -> u64| played.iter().map(|(_, seen)| of(seen)).sum::<u64>();
        let counts = [
            sum(|seen| seen.heard),
            sum(|seen| seen.refused),
            sum(|seen| seen.settled),
            sum(|seen| seen.joined),
            sum(|seen| seen.runs),
            sum(|seen| seen.recovered),
        ];
        assert!(counts.iter().all(|count| *count > played.len() as u64 / 20), "too little happens: {counts:?}");
        let ends: BTreeSet<&String> = played.iter().flat_map(|(_, seen)| &seen.ends).collect();
        assert!(ends.len() >= 3, "{ends:?}");
    }
}

/// Explorer and simulator look at the same decisions: an incident comes to no end that the search has not found for its trigger.
#[test]
fn every_end_of_an_incident_is_one_that_was_searched() {
    let plays = number("BELAY_SCRIPTS").unwrap_or(SCRIPTS) / 20;
    let mut ends: BTreeSet<IncidentEnd> = BTreeSet::new();
    let mut unseen: BTreeSet<IncidentEnd> = BTreeSet::new();
    for seed in 0..plays {
        let play = Play::random(seed * 7);
        let seen = virtually(play.play(seed * 7));
        for (trigger, phase, end) in seen.incidents {
            let searched = incidents(&play.plan, phase.as_deref(), &mut |_| true);
            let of = searched.iter().find(|ways| ways.triggers.contains(&trigger)).unwrap();
            let found: BTreeSet<IncidentEnd> = of.ways.iter().map(|way| way.end).collect();
            assert!(
                of.complete && found.contains(&end),
                "seed {}: {trigger} in {phase:?}: {end:?} is not in {found:?}",
                seed * 7
            );
            ends.insert(end);
            unseen.extend(found);
        }
    }
    assert!(ends.len() >= 6, "the scripts come to {ends:?} only, of {unseen:?}");
}
