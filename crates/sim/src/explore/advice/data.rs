//! Data that is lost: who is asked, who still writes, and what comes before what.

use belay_plan::{
    builtin::{MANUAL, WAIT},
    graph::Graph,
    model::{Name, OnFailure, Otherwise, Step, Target},
};

use super::{Adviser, Rule};
use crate::{
    explore::model::Kind,
    nature::{is_fence, lets_in_again},
};

impl Adviser<'_> {
    pub(super) fn loss(&mut self, index: usize, name: &Name) {
        let step = &self.plan.steps[index];
        if step.loses_data && step.approve.is_none() && self.plan.objectives.rpo.is_none() {
            let what =
                format!("`{name}` loses the data written since, and nobody is asked: the plan has no `rpo` either");
            let instead = "add `approve: { role: ROLE, within: 10m }`, or an objective `rpo` beyond which Belay asks";
            self.say(Rule::LossUnasked, format!("/steps/{name}"), what, instead);
        }
        if *self.kind(index) != Kind::Replace {
            return;
        }
        let stands_for = self.stands_for(index);
        for (other, (traffic, _)) in self.plan.steps.iter().enumerate() {
            let cones = [&self.model.steps[index].cone, &self.model.steps[other].cone];
            // What waits for a step waits for its fallback as well.
            let ordered = cones[0].contains(&other) || stands_for.iter().any(|data| cones[1].contains(data));
            if let (Kind::Traffic { .. }, false) = (self.kind(other), ordered) {
                let what = format!(
                    "`{traffic}` and `{name}` do not wait for each other: traffic may go to {} while its database is \
                     not restored",
                    self.model.destinations(other).join(", ")
                );
                let instead = format!("let the data come first: `needs: [{name}]` in `{traffic}`");
                self.say(Rule::TrafficBesideData, format!("/steps/{traffic}"), what, instead);
            }
        }
        self.traffic_first(index, name);
    }

    /// The step itself, and those whose fallback it is, one after the other.
    fn stands_for(&self, index: usize) -> Vec<usize> {
        let graph = Graph::new(self.plan);
        let mut found = vec![index];
        while let Some((last, _)) = found.last().and_then(|last| self.plan.steps.get_index(*last)) {
            let primary = self.plan.steps.keys().position(|name| graph.fallback_of(name) == Some(last.as_str()));
            let Some(primary) = primary.filter(|primary| !found.contains(primary)) else { break };
            found.push(primary);
        }
        found
    }

    /// What customers write where traffic has gone back to is thrown away by a restore that comes later.
    fn traffic_first(&mut self, index: usize, name: &Name) {
        let cone = &self.model.steps[index].cone;
        let early = cone.iter().filter(|other| **other != index && !self.model.destinations(**other).is_empty());
        let early = early.filter_map(|other| self.plan.steps.get_index(*other));
        let early: Vec<&Name> = early
            .filter(|(traffic, step)| !self.keeps_away_from(traffic, step, name))
            .map(|(traffic, _)| traffic)
            .collect();
        for traffic in early {
            let what = format!(
                "`{traffic}` gives customers back before `{name}` replaces the data under them: what they write until \
                 then is lost, too"
            );
            let instead = format!("turn it round: `needs: [{name}]` in `{traffic}`");
            self.say(Rule::TrafficBeforeData, format!("/steps/{traffic}"), what, instead);
        }
    }

    /// Whether a step stops those who write to what `data` replaces: it says so, or a later step takes its traffic on, as
    /// the one after a page does.
    fn keeps_away_from(&self, fence: &Name, step: &Step, data: &Name) -> bool {
        let index = self.plan.steps.get_index_of(fence);
        let page = index.is_some_and(|index| self.model.steps[index].superseded);
        let takes_on =
            |(other, later): (&Name, &Step)| later.resource == step.resource && self.turns.is_behind(other, data);
        is_fence(fence, step, Some(data)) || (page && self.plan.steps.iter().any(takes_on))
    }

    /// A step between a fence and what it is for, or beside it, by which writers come back.
    fn opened_again(&self, fence: &Name, data: &Name) -> Option<&Name> {
        let of_fence = (fence.as_str(), &self.plan.steps[fence]);
        let early = |other: &Name| !self.turns.is_behind(other, data) && !self.turns.is_behind(fence, other);
        let opens = |(name, step): &(&Name, &Step)| {
            *name != fence && *name != data && early(name) && lets_in_again(self.plan, (name, step), of_fence)
        };
        self.plan.steps.iter().find(opens).map(|(name, _)| name)
    }

    /// Whatever is written between the state that data goes back to and the moment when nobody writes any more is lost on
    /// top; so writers are stopped first.
    pub(super) fn fence(&mut self, name: &Name) {
        if !self.plan.steps[name].loses_data {
            return;
        }
        let graph = Graph::new(self.plan);
        let fences: Vec<(&Name, &Step)> = self
            .plan
            .steps
            .iter()
            .filter(|(other, step)| {
                *other != name && !graph.is_fallback(other) && self.keeps_away_from(other, step, name)
            })
            .collect();
        let before = |fence: &Name| self.turns.is_behind(name, fence);
        let holds = |(fence, step): &&(&Name, &Step)| before(fence) && self.passed_over_by(step, name).is_none();
        let holding: Vec<&Name> = fences.iter().filter(holds).map(|(fence, _)| *fence).collect();
        let opened = holding.iter().find_map(|fence| Some((*fence, self.opened_again(fence, name)?)));
        if let Some((fence, opens)) = opened {
            let what = format!(
                "`{name}` loses data, and `{opens}` does not wait for it: writers are back before it is over, although \
                 `{fence}` stops them"
            );
            let instead = format!("let them write again behind it: `needs: [{name}]` in `{opens}`");
            return self.say(Rule::LossNotFenced, format!("/steps/{name}"), what, instead);
        }
        if !holding.is_empty() {
            return;
        }
        let earlier = fences.iter().find(|(fence, _)| before(fence));
        let what = match (earlier, fences.first()) {
            (Some((fence, step)), _) => {
                let how = self.passed_over_by(step, name).unwrap_or_default();
                format!(
                    "`{name}` loses data, and `{fence}`, which stops the writers, is passed over {how}: data may go back while they still write"
                )
            }
            (None, Some((fence, _))) if self.turns.is_behind(fence, name) => {
                format!(
                    "`{name}` loses data, and `{fence}` stops the writers only after it: what they write meanwhile is lost, too"
                )
            }
            (None, Some((fence, _))) => {
                format!(
                    "`{name}` loses data, and does not wait for `{fence}`, which stops the writers: what they write meanwhile is lost, too"
                )
            }
            (None, None) => {
                format!(
                    "`{name}` loses data, and no step before it stops the writers: what they write meanwhile is lost, too"
                )
            }
        };
        let instead = match (earlier, fences.first()) {
            (Some((fence, _)), _) => {
                format!("let `{fence}` halt the run when it fails: `on_failure: halt`, `otherwise: halt`")
            }
            (None, Some((fence, _))) => format!("stop the writers first: `needs: [{fence}]` in `{name}`"),
            (None, None) => "add a step that stops the writers, for example a `manual` one, and `needs` it".to_owned(),
        };
        self.say(Rule::LossNotFenced, format!("/steps/{name}"), what, instead);
    }

    /// A fallback is for what its step fails by, and so is the fallback of that.
    pub(super) fn fallback(&mut self, name: &Name) {
        let mut chain = vec![name];
        while let Some((last, OnFailure::Fallback(next))) =
            chain.last().map(|last| (*last, &self.plan.steps[*last].on_failure))
        {
            let Some((next, _)) = self.plan.steps.get_key_value(next).filter(|(next, _)| !chain.contains(next)) else {
                return;
            };
            if self.does_the_same(&self.plan.steps[name], &self.plan.steps[next]) {
                let what = format!(
                    "`{next}` does the same as `{name}`, for which it stands in: it fails by the same cause again"
                );
                let instead = "fall back to something else: another way to the same state, or a `manual` step; to try again is what `retry` is for";
                return self.say(Rule::SameCauseAgain, format!("/steps/{last}/on_failure"), what, instead);
            }
            chain.push(next);
        }
    }

    /// What stands in for traffic or data, and puts nothing back: time that passes, or writers that are let in again.
    pub(super) fn stands_in_for_nothing(&mut self, index: usize, name: &Name) {
        let data = match self.kind(index) {
            Kind::Replace => true,
            Kind::Traffic { .. } => false,
            _ => return,
        };
        let OnFailure::Fallback(fallback) = &self.plan.steps[index].on_failure else { return };
        let Some(step) = self.plan.steps.get(fallback) else { return };
        let opens = |(fence, of): (&Name, &Step)| {
            fence != fallback
                && is_fence(fence, of, Some(name))
                && lets_in_again(self.plan, (fallback, step), (fence, of))
        };
        let does = match () {
            () if step.action == WAIT => "only lets time pass",
            () if data && self.plan.steps.iter().any(opens) => "lets those write again who were stopped",
            () => return,
        };
        let without = if data { "without its data" } else { "with its traffic where it fails" };
        let what = format!("`{fallback}` stands in for `{name}` and {does}: the run can end rolled back {without}");
        let instead = "fall back to another way to the same state, or to a `manual` step";
        self.say(Rule::PassedOver, format!("/steps/{name}/on_failure"), what, instead);
    }

    /// One action on one thing, for one target. A restore of another state is another way, whatever it restores.
    fn does_the_same(&self, step: &Step, other: &Step) -> bool {
        let same_source = ["from", "time"].iter().all(|key| step.with[*key] == other.with[*key]);
        let same_target = match &step.to {
            Target::Own => step.loses_data && same_source,
            to => *to == other.to,
        };
        other.action != MANUAL
            && other.action == step.action
            && (other.with == step.with
                || (!step.resource.is_empty() && other.resource == step.resource && same_target))
    }

    /// How a plan goes on to `data` when a fence does not succeed, if it does.
    fn passed_over_by(&self, fence: &Step, data: &Name) -> Option<String> {
        let stops = |name: &Name| self.plan.steps.get(name).is_some_and(|step| is_fence(name, step, Some(data)));
        match (&fence.on_failure, &fence.approve) {
            (OnFailure::Continue, _) => Some("when it fails (`on_failure: continue`)".to_owned()),
            (OnFailure::Fallback(other), _) if !stops(other) => {
                Some(format!("when it fails: its fallback `{other}` stops nobody"))
            }
            (_, Some(approve)) if approve.otherwise == Otherwise::Skip && approve.within.is_some() => {
                Some("when nobody answers (`otherwise: skip`)".to_owned())
            }
            _ => None,
        }
    }
}
