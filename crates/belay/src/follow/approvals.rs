//! Asks the person at the terminal about steps that wait for one.

use belay_core::{
    id::RunId,
    input::{Asked, Command, Verb},
};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

use crate::{
    document::{Migration, Run},
    follow::Screen,
    output::can_ask,
};

pub(crate) struct Approvals {
    actor: String,
    run: RunId,
    /// None where nobody can be asked, or nobody any more.
    terminal: Option<Lines<BufReader<Stdin>>>,
    /// One at a time.
    asked: Option<Question>,
}

#[derive(Clone)]
struct Question {
    step: String,
    /// How many different ones have to agree.
    people: usize,
}

/// What came of a question.
pub(crate) enum Answer {
    Command(Command),
    /// Neither yes nor no; it is asked again.
    Unclear(String),
    /// There is nobody any more who could answer. That is no answer, least of all a no.
    Nobody,
}

impl Approvals {
    pub(crate) fn new(run: &RunId, actor: &str) -> Self {
        let terminal = can_ask().then(|| BufReader::new(tokio::io::stdin()).lines());
        Self { actor: actor.to_owned(), run: run.clone(), terminal, asked: None }
    }

    /// Asks about a step that has come to wait.
    pub(crate) fn ask(&mut self, migration: &Migration, run: &Run, screen: &mut Screen) {
        if self.terminal.is_none() {
            return;
        }
        if self.asked.as_ref().is_some_and(|asked| run.awaiting_approval().any(|(step, _)| *step == asked.step)) {
            return;
        }
        let Some((step, state)) = run.awaiting_approval().next() else {
            self.asked = None;
            screen.answered();
            return;
        };
        let people = state.approval.as_ref().map_or(1, |approval| approval.quorum);
        let question = screen.need(step, state, migration);
        screen.ask(step, &question, &cure(people));
        self.asked = Some(Question { step: step.to_owned(), people });
    }

    /// The step that waits for a person, where nobody can be asked and nothing else of the run goes on.
    pub(crate) fn deserted<'r>(&self, run: &'r Run) -> Option<&'r str> {
        if self.terminal.is_some() || run.steps.values().any(|step| step.is_under_way()) {
            return None;
        }
        run.awaiting_approval().next().map(|(step, _)| step)
    }

    /// The answer to the open question; pending while there is none. Afterwards it is asked again, if the step still
    /// waits.
    pub(crate) async fn answer(approvals: &mut Option<Self>) -> Answer {
        let open = approvals.as_mut().and_then(|approvals| Some((approvals.asked.clone()?, approvals)));
        let Some((question, approvals)) = open else { return std::future::pending().await };
        let Some(lines) = &mut approvals.terminal else { return std::future::pending().await };
        let line = lines.next_line().await.ok().flatten();
        approvals.asked = None;
        let Some(line) = line else {
            approvals.terminal = None;
            return Answer::Nobody;
        };
        let (approve, reason, actor) = match Said::read(&line, question.people) {
            Said::Yes(None) => (true, "approved on the terminal", approvals.actor.clone()),
            Said::Yes(Some(name)) => {
                (true, "approved on the terminal", format!("{name} (at the terminal of {})", approvals.actor))
            }
            Said::No => (false, "denied on the terminal", approvals.actor.clone()),
            Said::Unclear => return Answer::Unclear(format!("`{}` is no answer to this", line.trim())),
        };
        let verb = Verb::Approve { run: approvals.run.clone(), step: question.step, approve };
        Answer::Command(Asked::new(actor, reason).command(verb))
    }
}

/// What to type.
fn cure(people: usize) -> String {
    match people {
        0 | 1 => "type yes or no: yes when it is so, no to refuse".to_owned(),
        _ => format!("type `yes NAME` for each of the {people} people who agree, or no to refuse"),
    }
}

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// With the name of the one who agrees.
    Yes(Option<String>),
    No,
    Unclear,
}

impl Said {
    /// Where it takes several people, each has a name.
    fn read(line: &str, people: usize) -> Self {
        let (word, name) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        match (word, name.trim()) {
            ("yes" | "y", "") if people > 1 => Self::Unclear,
            ("yes" | "y", "") => Self::Yes(None),
            ("yes" | "y", name) => Self::Yes(Some(name.to_owned())),
            ("no" | "n", _) => Self::No,
            _ => Self::Unclear,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_typed_is_understood() {
        let yes = |name: &str| Said::Yes(Some(name.to_owned()));
        assert_eq!(Said::read(" yes ", 1), Said::Yes(None));
        assert_eq!(Said::read("y on call", 1), yes("on call"));
        assert_eq!(Said::read("yes  on call ", 2), yes("on call"));
        assert_eq!(Said::read("yes", 2), Said::Unclear, "which of the two?");
        assert_eq!(Said::read("no", 2), Said::No);
        for unclear in ["", "yess", "maybe", "nope", "YES!"] {
            assert_eq!(Said::read(unclear, 1), Said::Unclear, "{unclear}");
        }
    }

    #[test]
    fn where_nobody_can_be_asked_what_goes_on_by_itself_is_waited_for() {
        let nobody = Approvals { actor: "ada".to_owned(), run: RunId("r1".to_owned()), terminal: None, asked: None };
        let run = |other: &str| {
            let step = |phase: &str| {
                json!({
                    "phase": phase, "action": "manual", "needs": [], "why": "", "waiting_for": [], "changes": [], "require": [],
                    "verify": [], "progress": null, "since": "2026-03-01T22:00:00Z", "started": null, "ended": null,
                })
            };
            let run = json!({
                "id": "r1", "migration": "shop", "kind": "real", "state": "running", "reason": "r", "actor": "ada", "why": "",
                "aborting": false, "started": "2026-03-01T22:00:00Z", "ended": null, "expected_left_s": null, "confirm": [],
                "waiting_for": [], "steps": { "people": step("awaiting_approval"), "dns_back": step(other) },
            });
            Run::read(run).unwrap()
        };
        for busy in ["observing", "requiring", "applying", "settling", "verifying"] {
            assert_eq!(nobody.deserted(&run(busy)), None, "{busy}");
        }
        for still in ["pending", "done", "unchanged", "failed", "skipped", "blocked", "awaiting_approval"] {
            assert_eq!(nobody.deserted(&run(still)), Some("people"), "{still}");
        }
    }
}
