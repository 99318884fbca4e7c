//! Asks the person at the terminal about steps that wait for one.

use belay_core::{
    id::RunId,
    input::{Asked, Command, Verb},
};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

use crate::{document::Run, follow::Screen, output::can_ask};

pub(crate) struct Approvals {
    actor: String,
    run: RunId,
    /// None where nobody can be asked.
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

impl Approvals {
    pub(crate) fn new(run: &RunId, actor: &str) -> Self {
        let terminal = can_ask().then(|| BufReader::new(tokio::io::stdin()).lines());
        Self { actor: actor.to_owned(), run: run.clone(), terminal, asked: None }
    }

    /// Asks about a step that has come to wait.
    pub(crate) fn ask(&mut self, run: &Run, screen: &Screen) {
        if self.asked.as_ref().is_some_and(|asked| run.awaiting_approval().any(|(step, _)| *step == asked.step)) {
            return;
        }
        let Some((step, state)) = run.awaiting_approval().next() else {
            self.asked = None;
            return;
        };
        let people = state.approval.as_ref().map_or(1, |approval| approval.quorum);
        self.asked = Some(Question { step: step.to_owned(), people });
        let reason = state.waiting_for.first().map_or("", |waiting| waiting.reason.as_str());
        let cure = match people {
            0 | 1 => "type yes when it is so, or no to refuse:".to_owned(),
            _ => format!("type `yes NAME` for each of the {people} people who agree, or no to refuse:"),
        };
        match self.terminal {
            Some(_) => screen.note(&format!("\n? {step}: {reason}\n  {cure}")),
            None => screen.note(&format!(
                "{step} is denied: it waits for a person, and standard input is not a terminal ({reason})\n  next: run again \
                 in a terminal, or use the daemon (`belay serve`) and answer with `belay approve {step}`"
            )),
        }
    }

    /// The answer to the open question, as a command; pending while there is none. Afterwards it is asked again, if
    /// the step still waits.
    pub(crate) async fn answer(approvals: &mut Option<Self>) -> Option<Command> {
        let open = approvals.as_mut().and_then(|approvals| Some((approvals.asked.clone()?, approvals)));
        let Some((question, approvals)) = open else { return std::future::pending().await };
        let said = match &mut approvals.terminal {
            None => Said::No("nobody can be asked: standard input is not a terminal"),
            Some(lines) => match lines.next_line().await.ok().flatten() {
                Some(line) => Said::read(&line, question.people),
                None => Said::No("the terminal is gone"),
            },
        };
        approvals.asked = None;
        let (approve, reason, actor) = match said {
            Said::Yes(None) => (true, "approved on the terminal", approvals.actor.clone()),
            Said::Yes(Some(name)) => {
                (true, "approved on the terminal", format!("{name} (at the terminal of {})", approvals.actor))
            }
            Said::No(why) => (false, why, approvals.actor.clone()),
            Said::Unclear => return None,
        };
        let verb = Verb::Approve { run: approvals.run.clone(), step: question.step, approve };
        Some(Asked::new(actor, reason).command(verb))
    }
}

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// With the name of the one who agrees.
    Yes(Option<String>),
    /// And why.
    No(&'static str),
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
            ("no" | "n", _) => Self::No("denied on the terminal"),
            _ => Self::Unclear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Said;

    #[test]
    fn what_is_typed_is_understood() {
        let yes = |name: &str| Said::Yes(Some(name.to_owned()));
        assert_eq!(Said::read(" yes ", 1), Said::Yes(None));
        assert_eq!(Said::read("y on call", 1), yes("on call"));
        assert_eq!(Said::read("yes  on call ", 2), yes("on call"));
        assert_eq!(Said::read("yes", 2), Said::Unclear, "which of the two?");
        assert_eq!(Said::read("no", 2), Said::No("denied on the terminal"));
        for unclear in ["", "yess", "maybe", "nope", "YES!"] {
            assert_eq!(Said::read(unclear, 1), Said::Unclear, "{unclear}");
        }
    }
}
