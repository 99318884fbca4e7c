//! Where and over which time it is asked how the system was.

use std::{collections::BTreeSet, time::Duration};

use belay_aws_catalogue::signal_specs;
use belay_plan::model::{AwsTarget, Plan};
use belay_ports::evidence::Question;
use jiff::Timestamp;

use super::PLACES_MAX;
use crate::place;

/// X-Ray draws a graph of six hours at most.
const BACK: Duration = Duration::from_secs(30 * 60);

pub(super) fn from(question: &Question) -> Timestamp {
    question.opened.checked_sub(BACK).unwrap_or(Timestamp::MIN)
}

/// The accounts and regions of the plan's steps and signals in AWS, each once, and a note where there are none or too many. Unlike calls
/// to Route 53, the graph and the insights of a system are where it runs.
pub(super) fn places(plan: &Plan) -> (Vec<AwsTarget>, Vec<String>) {
    let kinds: BTreeSet<&str> = signal_specs().iter().map(|spec| spec.key).collect();
    let steps = plan.steps.values().filter(|step| step.action.contains('.')).map(|step| &step.aws);
    let signals = plan.signals.values().filter(|signal| kinds.contains(signal.kind.as_str())).map(|signal| &signal.aws);
    let mut known = BTreeSet::new();
    let mut places: Vec<AwsTarget> =
        steps.chain(signals).filter(|target| known.insert(place::name(target))).cloned().collect();
    let note = match places.len() {
        0 => Some("not asked: no step and no signal of the plan is in AWS".to_owned()),
        count if count > PLACES_MAX => Some(format!("of {count} accounts and regions, {PLACES_MAX} were asked")),
        _ => None,
    };
    places.truncate(PLACES_MAX);
    (places, note.into_iter().collect())
}
