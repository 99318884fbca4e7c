//! Data that is lost: who is asked, who still writes, and what comes before what.

use belay_plan::{
    builtin::MANUAL,
    graph::Graph,
    model::{Name, OnFailure, Otherwise, Step, Target},
};

use super::{Adviser, Rule};
use crate::{explore::model::Kind, nature::is_fence};

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
        for (other, (traffic, _)) in self.plan.steps.iter().enumerate() {
            let cones = [&self.model.steps[index].cone, &self.model.steps[other].cone];
            let ordered = cones[0].contains(&other) || cones[1].contains(&index);
            if let (Kind::Traffic { .. }, false) = (self.kind(other), ordered) {
                let what = format!(
                    "`{traffic}` and `{name}` do not wait for each other: traffic may go to {} while its database is \
                     not restored",
                    self.model.destinations(other).join(", ")
                );
                let instead =
                    format!("say which comes first: `needs: [{name}]` in `{traffic}`, or the other way round");
                self.say(Rule::TrafficBesideData, format!("/steps/{traffic}"), what, instead);
            }
        }
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
            .filter(|(other, step)| *other != name && !graph.is_fallback(other) && is_fence(other, step, Some(name)))
            .collect();
        let before = |fence: &Name| self.turns.is_behind(name, fence);
        if fences.iter().any(|(fence, step)| before(fence) && passed_over(step).is_none()) {
            return;
        }
        let earlier = fences.iter().find(|(fence, _)| before(fence));
        let what = match (earlier, fences.first()) {
            (Some((fence, step)), _) => {
                let how = passed_over(step).unwrap_or_default();
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
        while let Some((last, OnFailure::Fallback(next))) = chain.last().map(|last| (*last, &self.plan.steps[*last].on_failure)) {
            let Some((next, _)) = self.plan.steps.get_key_value(next).filter(|(next, _)| !chain.contains(next)) else {
                return;
            };
            if self.does_the_same(&self.plan.steps[name], &self.plan.steps[next]) {
                let what =
                    format!("`{next}` does the same as `{name}`, for which it stands in: it fails by the same cause again");
                let instead = "fall back to something else: another way to the same state, or a `manual` step; to try again is what `retry` is for";
                return self.say(Rule::SameCauseAgain, format!("/steps/{last}/on_failure"), what, instead);
            }
            chain.push(next);
        }
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
}

/// How a plan goes on when a step does not succeed, if it does.
fn passed_over(step: &Step) -> Option<&'static str> {
    match (&step.on_failure, &step.approve) {
        (OnFailure::Continue, _) => Some("when it fails (`on_failure: continue`)"),
        (_, Some(approve)) if approve.otherwise == Otherwise::Skip && approve.within.is_some() => {
            Some("when nobody answers (`otherwise: skip`)")
        }
        _ => None,
    }
}
