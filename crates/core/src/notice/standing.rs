//! Trouble that people were told of, and not yet of its end.

use belay_plan::{model::Name, notify::Channel};

use crate::{
    decide::Deciding,
    migration::Migration,
    notice::{Trouble, gather::Told},
};

/// Before the name of a trigger that cannot be decided, where a source is named otherwise.
pub(super) const TRIGGER: &str = "trigger ";

impl Deciding {
    /// Who was told of trouble hears of its end, however it ends: nothing is read any more after a disarm, and what was known
    /// before a restart or an arming is forgotten.
    pub(super) fn follow_standing(&mut self, name: &Name, channel: &Channel) {
        let standing = self.state.outbox.standing.get(name).into_iter().flatten();
        let over = standing.filter_map(|trouble| Some((trouble.clone(), self.state.over(trouble)?)));
        let over: Vec<(Trouble, &str)> = over.collect();
        for (trouble, why) in over {
            let told = Told::of(trouble.kind(), self.now).why(why).over();
            let told = match &trouble {
                Trouble::Blind(source) => told.source(source),
                Trouble::Readiness | Trouble::PointOfNoReturn => told,
            };
            let facts = self.state.facts(&told, 0);
            self.due(name, channel, facts, self.now);
        }
    }
}

impl Migration {
    /// Whether trouble that people were told of is over; with the reason where that is not because all is well again.
    fn over(&self, trouble: &Trouble) -> Option<&'static str> {
        if self.armed.is_none() {
            return Some("the migration is disarmed");
        }
        let well = match trouble {
            Trouble::Readiness => self.readiness.as_ref().is_some_and(|ready| ready.verdict.holds()),
            Trouble::PointOfNoReturn if !self.point_told.near && !self.point_told.passed => {
                return Some("the cutover is not marked any more");
            }
            Trouble::PointOfNoReturn => false,
            Trouble::Blind(what) => self.is_seen(what),
        };
        well.then_some("")
    }

    /// After a restart or an arming it has to be read before anybody knows.
    fn is_seen(&self, what: &str) -> bool {
        let plan = self.plan.as_ref();
        if let Some(name) = what.strip_prefix(TRIGGER)
            && let Some((state, trigger)) = self.triggers.get(name).zip(plan.and_then(|plan| plan.triggers.get(name)))
        {
            return state.unknown.is_none() && self.is_read(trigger);
        }
        let mut signals = self.signals.values();
        let of_source = signals.clone().any(|signal| signal.read && signal.source == what);
        !self.blind.contains_key(what) && (of_source || signals.all(|signal| signal.read))
    }
}
