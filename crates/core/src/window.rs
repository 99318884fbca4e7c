//! The window: before it opens nothing starts by itself; past the point of no return going back loses too much for that.

use std::time::Duration;

use belay_plan::model::{PastWindow, Plan};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{change::Effect, decide::Deciding, event::Event, migration::Migration, run::Run};

/// People are told so long before the point of no return.
pub const NOTICE: Duration = Duration::from_secs(30 * 60);

/// What of the point of no return is on record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointTold {
    pub near: bool,
    pub passed: bool,
}

impl Migration {
    /// When the point of no return is passed; none before the cutover is marked.
    pub fn point_of_no_return(&self) -> Option<Timestamp> {
        let after = self.plan.as_ref()?.window.as_ref()?.point_of_no_return?;
        let point = self.kept_cutover()? + after;
        Some(point.saturating_add(self.cutover_shift).unwrap_or(point))
    }

    /// Why nothing may start by itself now, and until when if that passes.
    pub(crate) fn barred(&self, now: Timestamp) -> Option<(String, Option<Timestamp>)> {
        let plan = self.plan.as_ref()?;
        if let Some(opens) = plan.window.as_ref().and_then(|window| window.opens).filter(|opens| now < *opens) {
            return Some((format!("the window opens at {opens}, and nothing starts by itself before"), Some(opens)));
        }
        if let Some(point) = self.point_of_no_return().filter(|point| now >= *point) {
            return Some((format!("the point of no return was passed at {point:.0}"), None));
        }
        let phase = self.phase_name()?;
        (!plan.is_served(Some(phase))).then(|| (format!("no step serves phase {phase}"), None))
    }

    pub(crate) fn shift_window(&mut self, by: SignedDuration) {
        if self.cutover.is_some() {
            self.cutover_shift = self.cutover_shift.saturating_add(by);
        }
    }
}

impl Deciding {
    /// The notice before the point of no return, and the point itself.
    pub(crate) fn follow_window(&mut self) {
        let Some(point) = self.state.point_of_no_return().filter(|_| self.state.armed.is_some()) else { return };
        if self.now >= point {
            if !self.state.point_told.passed {
                self.emit(Event::PointOfNoReturnPassed { at: point });
            }
        } else if self.now + NOTICE >= point && !self.state.point_told.near {
            self.emit(Event::PointOfNoReturnNear { at: point });
        }
    }

    pub(crate) fn window_deadline(state: &Migration) -> Option<Timestamp> {
        let point = state.point_of_no_return().filter(|_| state.armed.is_some())?;
        match state.point_told {
            PointTold { passed: true, .. } => None,
            PointTold { near: true, .. } => Some(point),
            _ => Some(point - NOTICE),
        }
    }
}

/// What the plan says of a step that loses data and begins past the point of no return.
pub(crate) fn past_point(
    state: &Migration,
    run: &Run,
    plan: &Plan,
    loses_data: bool,
    now: Timestamp,
) -> Option<(PastWindow, String)> {
    let window = plan.window.as_ref().filter(|_| loses_data && run.undoes.is_none())?;
    let point = (run.cutover? + window.point_of_no_return?).saturating_add(state.cutover_shift).ok()?;
    (now >= point).then(|| (window.past, format!("the point of no return was passed at {point:.0}, and it loses data")))
}

/// Why a step that loses data does not begin, where the plan says `past: refuse`.
pub(crate) fn refused_past_point(why: &str, what: &str) -> String {
    format!("{why}, which the plan refuses then: {what}")
}

/// Whether data is lost by any of the changes.
pub(crate) fn loses_data<'c>(changes: impl IntoIterator<Item = &'c crate::change::Change>) -> bool {
    changes.into_iter().flat_map(|change| &change.effects).any(|effect| matches!(effect, Effect::LosesData { .. }))
}
