//! What `belay guard` reports of itself while it runs the command of a migration. In memory alone: a guard that is killed reports nothing
//! more, and the daemon says so.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use belay_core::migration::Migration;
use belay_plan::duration;
use belay_ports::{Check, Clock};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const ID: &str = "guard";

/// A guard reports every five seconds.
const LOST_AFTER: Duration = Duration::from_secs(30);

/// How far a guard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// The command has not begun.
    Before,
    /// The command runs, or has ended and the cutover is about to be marked.
    Command,
    /// The command has ended well, and the cutover is marked.
    Soak,
    /// The guard has ended.
    Over,
}

/// What the guard of a migration has reported last.
#[derive(Debug, Default)]
pub(crate) struct Pipeline(Mutex<Option<Report>>);

#[derive(Debug, Clone)]
struct Report {
    stage: Stage,
    /// When it was first reported.
    since: Timestamp,
    at: Timestamp,
    /// The same on the monotonic clock.
    heard: Duration,
    /// Why it ended with nothing rolled back, where its command did not end well.
    ended: Option<String>,
}

/// As the migration's document shows it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = GuardReport)]
pub(crate) struct Shown {
    stage: Stage,
    /// When the guard last reported.
    at: Timestamp,
    /// It reports no more, though it has not ended.
    lost: bool,
    /// What that means now.
    found: String,
}

/// What follows from the last report.
enum Means {
    Fine,
    /// Nothing waits for it, and a person should know.
    Gone,
    /// Whether the cutover has come is not known.
    Unmarked,
}

impl Pipeline {
    pub(crate) fn reported(&self, stage: Stage, ended: Option<String>, clock: &dyn Clock) {
        let (at, heard, mut last) = (clock.now(), clock.monotonic(), self.lock());
        let since = last.as_ref().filter(|last| last.stage == stage).map_or(at, |last| last.since);
        *last = Some(Report { stage, since, at, heard, ended });
    }

    /// Since when it is as far as it is.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.lock().as_ref().map(|report| report.since)
    }

    pub(crate) fn shown(&self, state: &Migration, clock: &dyn Clock) -> Option<Shown> {
        let report = self.of_now(state)?;
        let lost = report.is_lost(clock);
        let (found, _) = report.meaning(state, clock)?;
        Some(Shown { stage: report.stage, at: report.at, lost, found })
    }

    pub(crate) fn check(&self, state: &Migration, clock: &dyn Clock) -> Option<Check> {
        let (found, means) = self.of_now(state)?.meaning(state, clock)?;
        let name = state.name.as_str();
        Some(match means {
            Means::Fine => Check::go(ID, name, found),
            Means::Gone => Check::warn(ID, name, found)
                .wanted("a guard that reports, or a person who watches")
                .cure("look at the pipeline: its command may go on without the guard; the daemon watches on"),
            Means::Unmarked => Check::unknown(ID, name, found)
                .wanted("a cutover that is marked as soon as traffic moves: windows, phases and losses count from it")
                .cure(format!(
                    "look whether the command has moved traffic: `belay cutover {name}` marks it, `belay rollback {name}` goes back, \
                     `belay disarm {name}` where nothing has happened"
                )),
        })
    }

    /// Of the attempt that is armed.
    fn of_now(&self, state: &Migration) -> Option<Report> {
        let armed = state.armed.filter(|_| state.open_run().is_none())?;
        self.lock().clone().filter(|report| report.at >= armed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Report>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    fn is_lost(&self, clock: &dyn Clock) -> bool {
        self.stage != Stage::Over && clock.monotonic().saturating_sub(self.heard) > LOST_AFTER
    }

    /// None: it has ended, and nothing is left to say.
    fn meaning(&self, state: &Migration, clock: &dyn Clock) -> Option<(String, Means)> {
        const UNMARKED: &str = "the cutover is not marked";
        let at = self.at;
        if !self.is_lost(clock) {
            let ago = clock.monotonic().saturating_sub(self.heard).as_secs();
            let does = match self.stage {
                Stage::Before => "prepares its command",
                Stage::Command => "runs the command",
                Stage::Soak => "watches the soak",
                Stage::Over => {
                    let ended = self.ended.as_ref().filter(|_| state.cutover.is_none())?;
                    return Some((format!("the guard ended at {at:.0}: {ended}; {UNMARKED}"), Means::Unmarked));
                }
            };
            let ago = duration::format(Duration::from_secs(ago));
            return Some((format!("a guard {does}, heard {ago} ago"), Means::Fine));
        }
        let lost = |when: &str| format!("the guard of this cutover was lost at {at:.0} {when}");
        Some(match (self.stage, state.cutover) {
            (Stage::Before, _) => (lost("before its command began"), Means::Gone),
            (Stage::Command, None) => (format!("{}; {UNMARKED}", lost("while its command ran")), Means::Unmarked),
            // A person has marked it since, and so knows.
            (Stage::Command, Some(cutover)) if cutover > at => return None,
            (Stage::Command, Some(_)) => {
                (lost("while its command ran: whether that has ended is not known"), Means::Gone)
            }
            (Stage::Soak | Stage::Over, _) => (lost("during the soak"), Means::Gone),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use belay_ports::{CheckVerdict, Fut};

    use super::*;

    /// Stands where the test sets it.
    #[derive(Default)]
    struct Set(Mutex<u64>);

    impl Set {
        fn later(&self, seconds: u64) {
            *self.0.lock().unwrap() += seconds;
        }
    }

    impl Clock for Set {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH + self.monotonic()
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(*self.0.lock().unwrap())
        }

        fn sleep<'a>(&'a self, _: Duration) -> Fut<'a, ()> {
            Box::pin(std::future::pending())
        }
    }

    fn armed() -> Migration {
        let mut state = Migration::new("shop");
        state.armed = Some(Timestamp::UNIX_EPOCH);
        state
    }

    fn found(pipeline: &Pipeline, state: &Migration, clock: &Set) -> Option<(CheckVerdict, String)> {
        pipeline.check(state, clock).map(|check| (check.verdict, check.found))
    }

    #[test]
    fn a_guard_that_is_killed_while_its_command_runs_leaves_an_unmarked_cutover() {
        let (pipeline, clock, mut state) = (Pipeline::default(), Arc::new(Set::default()), armed());
        assert_eq!(found(&pipeline, &state, &clock), None, "no guard has reported");
        pipeline.reported(Stage::Before, None, clock.as_ref());
        clock.later(60);
        pipeline.reported(Stage::Command, None, clock.as_ref());
        clock.later(30);
        let runs = (CheckVerdict::Go, "a guard runs the command, heard 30s ago".to_owned());
        assert_eq!(found(&pipeline, &state, &clock), Some(runs));
        clock.later(1);
        let (verdict, what) = found(&pipeline, &state, &clock).unwrap();
        assert_eq!(verdict, CheckVerdict::Unknown);
        let lost = "the guard of this cutover was lost at 1970-01-01T00:01:00Z while its command ran; the cutover is not marked";
        assert_eq!(what, lost);
        assert!(pipeline.shown(&state, clock.as_ref()).unwrap().lost);
        let cure = pipeline.check(&state, clock.as_ref()).unwrap().cure;
        assert!(cure.contains("`belay cutover shop` marks it"), "{cure}");
        state.cutover = Some(clock.now());
        assert_eq!(found(&pipeline, &state, &clock), None, "a person has marked it");
        state.cutover = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(found(&pipeline, &state, &clock).unwrap().0, CheckVerdict::Warn, "it was marked before the command");
        state.armed = None;
        assert_eq!(found(&pipeline, &state, &clock), None);
    }

    #[test]
    fn a_guard_whose_command_was_cancelled_says_so_and_one_that_ended_well_nothing() {
        let (pipeline, clock, mut state) = (Pipeline::default(), Set::default(), armed());
        pipeline.reported(Stage::Over, Some("the command was told to end".to_owned()), &clock);
        clock.later(3600);
        let (verdict, what) = found(&pipeline, &state, &clock).unwrap();
        assert_eq!(verdict, CheckVerdict::Unknown);
        assert!(what.ends_with("the command was told to end; the cutover is not marked"), "{what}");
        state.cutover = Some(clock.now());
        assert_eq!(found(&pipeline, &state, &clock), None);
        state.cutover = None;
        pipeline.reported(Stage::Over, None, &clock);
        assert_eq!(found(&pipeline, &state, &clock), None);
        pipeline.reported(Stage::Soak, None, &clock);
        clock.later(31);
        assert_eq!(found(&pipeline, &state, &clock).unwrap().0, CheckVerdict::Warn);
    }
}
