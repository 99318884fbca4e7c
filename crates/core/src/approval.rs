//! A person's word: who may give it, how many it takes, and until when.

use belay_plan::model::{Approve, Otherwise};

use crate::{
    decide::Deciding,
    event::{FailureCode, StepEvent},
    id::RunId,
    input::{Asked, Authority, Refusal, RefusalKind},
    possible::VerbWord,
    run::StepState,
};

/// The role that says yes where the plan does not ask for a role.
pub const OPERATOR: &str = "operator";

impl Deciding {
    pub(crate) fn approve(&mut self, run: &RunId, step: &str, approve: bool, asked: &Asked) -> Result<(), Refusal> {
        self.step_allows(run, step, VerbWord::Approve)?;
        let wanted = self.wanted(step);
        let role = wanted.as_ref().map_or(OPERATOR, |wanted| wanted.role.as_str());
        refuse_without_role(asked, role)?;
        let quorum = wanted.as_ref().map_or(1, |wanted| wanted.quorum);
        let given = self.state_of(step).map_or(&[][..], |state| &state.approvals);
        if approve && given.contains(&asked.actor) {
            return Err(Refusal {
                kind: RefusalKind::WrongState,
                why: format!("{} has approved step {step} already", asked.actor),
                help: format!("it takes {quorum} different people with the role {role}"),
            });
        }
        if approve && quorum > 1 && self.run().is_some_and(|run| run.actor == asked.actor) {
            return Err(Refusal {
                kind: RefusalKind::WrongState,
                why: format!("{} has asked for this run, which is no approval of step {step}", asked.actor),
                help: format!("it takes {quorum} other people with the role {role}"),
            });
        }
        let reached = given.len() + 1 >= usize::try_from(quorum).unwrap_or(usize::MAX);
        self.commanded(if approve { "approve" } else { "deny" }, asked, serde_json::json!({ "step": step }));
        if !approve {
            self.fail(step, FailureCode::Denied, format!("denied by {}: {}", asked.actor, asked.reason));
            return Ok(());
        }
        self.step(step, StepEvent::ApprovalGiven { by: asked.actor.clone() });
        if reached {
            self.step(step, StepEvent::Approved);
            self.go_on_with_builtin(step);
        }
        Ok(())
    }

    /// Nobody has answered in time.
    pub(crate) fn follow_approval(&mut self, step: &str) {
        let expired = |state: &&StepState| state.approval_until.is_some_and(|until| self.now >= until);
        if self.state_of(step).filter(expired).is_none() {
            return;
        }
        let Some(Approve { role, quorum, within, otherwise }) = self.wanted(step) else { return };
        let within = belay_plan::duration::format(within.unwrap_or_default());
        let given = self.state_of(step).map_or(0, |state| state.approvals.len());
        let why = match quorum {
            1 => format!("nobody with the role {role} approved within {within}"),
            quorum => format!("{given} of {quorum} people with the role {role} approved within {within}"),
        };
        match otherwise {
            Otherwise::Halt => self.fail(step, FailureCode::Unanswered, why),
            Otherwise::Skip => self.step(step, StepEvent::Skipped { why }),
        }
    }

    fn wanted(&self, step: &str) -> Option<Approve> {
        self.run()?.plan.steps.get(step)?.approve.clone()
    }
}

fn refuse_without_role(asked: &Asked, role: &str) -> Result<(), Refusal> {
    match &asked.authority {
        Authority::Roles(roles) if !roles.iter().any(|has| has == role) => Err(Refusal {
            kind: RefusalKind::NotAllowed { role: role.to_owned() },
            why: format!("{} does not have the role {role}", asked.actor),
            help: format!("somebody with the role {role} has to answer; the daemon's `tokens` say who that is"),
        }),
        _ => Ok(()),
    }
}
