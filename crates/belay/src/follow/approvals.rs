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
    /// The step that a question is open about: one at a time.
    asked: Option<String>,
}

impl Approvals {
    pub(crate) fn new(run: &RunId, actor: &str) -> Self {
        let terminal = can_ask().then(|| BufReader::new(tokio::io::stdin()).lines());
        Self { actor: actor.to_owned(), run: run.clone(), terminal, asked: None }
    }

    /// Asks about a step that has come to wait.
    pub(crate) fn ask(&mut self, run: &Run, screen: &Screen) {
        if self.asked.as_ref().is_some_and(|asked| run.awaiting_approval().any(|(step, _)| step == asked)) {
            return;
        }
        let next = run.awaiting_approval().next();
        self.asked = next.map(|(step, _)| step.to_owned());
        let Some((step, state)) = next else { return };
        let reason = state.waiting_for.first().map_or("", |waiting| waiting.reason.as_str());
        match self.terminal {
            Some(_) => screen.note(&format!("\n? {step}: {reason}\n  type yes when it is so, or no to refuse:")),
            None => screen.note(&format!(
                "{step} is denied: it waits for a person, and standard input is not a terminal ({reason})\n  next: run again \
                 in a terminal, or use the daemon (`belay serve`) and answer with `belay approve {step}`"
            )),
        }
    }

    /// The answer to the open question, as a command; pending while there is none.
    pub(crate) async fn answer(approvals: &mut Option<Self>) -> Option<Command> {
        let open = approvals.as_mut().and_then(|approvals| Some((approvals.asked.clone()?, approvals)));
        let Some((step, approvals)) = open else { return std::future::pending().await };
        let (approve, reason) = match &mut approvals.terminal {
            None => (false, "nobody can be asked: standard input is not a terminal"),
            Some(lines) => match lines.next_line().await.ok().flatten().as_deref().map(str::trim) {
                Some("yes" | "y") => (true, "approved on the terminal"),
                Some("no" | "n") => (false, "denied on the terminal"),
                None => (false, "the terminal is gone"),
                Some(_) => {
                    approvals.asked = None; // asked once more
                    return None;
                }
            },
        };
        let verb = Verb::Approve { run: approvals.run.clone(), step, approve };
        Some(Asked::new(approvals.actor.clone(), reason).command(verb))
    }
}
