//! Group stickiness during a swap.
//!
//! A client with a cookie stays with its group whatever the weights say, so a swap with stickiness moves only new
//! clients. With `stickiness: suspend` the swap switches it off in the same call; once the cookies from before have run
//! out it is switched on again, as it was. Earlier, those cookies would count again, and pin their clients to the wrong side.

use std::time::Duration;

use belay_aws_catalogue::elbv2::forward::{OnSwap, With};
use belay_core::change::{Assessment, Progress, Receipt};
use belay_plan::duration;
use belay_ports::Scope;
use jiff::Timestamp;

use super::{EXPECTED, State, actions::Stickiness};

/// The change that switches it on again.
pub(super) const PUT_BACK: &str = "stickiness";

/// A time-out has to leave this much beside the cookies' time.
const TIMEOUT_SLACK: Duration = Duration::from_secs(5 * 60);

/// What is switched off with the swap, and put back after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suspended {
    pub(super) former: Stickiness,
    /// For how long its cookies count.
    pub(super) lasts: Duration,
}

/// What there is to suspend: the stickiness as it was found, before the step's first change; else the one of the known-good
/// state (an earlier run may have left it off). None where the plan keeps it, or there is none.
pub(super) fn suspended(with: &With, found: &State, baseline: Option<&State>) -> Option<Suspended> {
    let states = [Some(found), baseline].into_iter().flatten();
    let former = states.filter_map(State::forward).find_map(|forward| forward.sticky());
    let former = former.filter(|_| with.stickiness == OnSwap::Suspend)?;
    Some(Suspended { former: former.clone(), lasts: former.lasts().unwrap_or_default() })
}

impl Suspended {
    /// What a person can cure as long as nothing runs: while it runs, the traffic comes first.
    pub(super) fn objection(&self, scope: &Scope) -> Option<String> {
        let needed = self.lasts + EXPECTED;
        if scope.run.is_some() {
            return None;
        }
        if self.lasts.is_zero() {
            return Some(
                "its stickiness has no duration, so it is not known when it may be put back: leave it as it is, with \
                 `stickiness: keep`"
                    .to_owned(),
            );
        }
        (needed > scope.timeout).then(|| {
            format!(
                "with `stickiness: suspend` the step waits {} for the cookies from before the swap to run out, and its \
                 timeout is {}: give it `timeout: {}`, or leave stickiness as it is with `stickiness: keep`",
                duration::format(self.lasts),
                duration::format(scope.timeout),
                duration::format(self.lasts + TIMEOUT_SLACK),
            )
        })
    }

    /// The wait for the old cookies. None when they have run out.
    pub(super) fn settling(&self, swapped: Timestamp, looked: Timestamp) -> Option<Assessment> {
        let until = swapped + EXPECTED + self.lasts;
        let left = Duration::try_from(until.duration_since(looked)).ok().filter(|left| !left.is_zero())?;
        let whole = EXPECTED + self.lasts;
        let note = format!(
            "stickiness is off until {until:.0}, when the cookies from before the swap have run out ({} of {} left)",
            duration::format(Duration::from_secs(left.as_secs())),
            duration::format(whole),
        );
        Some(Assessment::Settling(Progress {
            fraction: Some((1.0 - left.as_secs_f64() / whole.as_secs_f64()).clamp(0.0, 1.0)),
            note,
            expected_left_s: Some(left.as_secs()),
        }))
    }
}

/// When the swap is known to have taken effect. After a lost answer nobody knows.
pub(super) fn swapped_at(receipts: &[Receipt]) -> Option<Timestamp> {
    receipts.iter().rev().find(|receipt| receipt.change != PUT_BACK).map(|receipt| receipt.at)
}
