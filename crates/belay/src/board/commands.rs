//! Command lines that work as they stand: what a person can do next, to be copied.

/// What can be done, and the command that does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Act {
    pub(crate) label: String,
    pub(crate) command: String,
}

/// Writes command lines for the daemon that is being talked to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Commands {
    /// Where the daemon is, if a command does not find it by itself.
    pub(crate) url: Option<String>,
}

const REASON: &str = "--reason \"...\"";

impl Commands {
    /// The command line of a command without its program.
    pub(crate) fn line(&self, command: &str) -> String {
        let url = self.url.as_ref().map_or(String::new(), |url| format!(" --url {url}"));
        format!("belay {command}{url}")
    }

    fn act(&self, label: impl Into<String>, command: impl AsRef<str>) -> Act {
        Act { label: label.into(), command: self.line(command.as_ref()) }
    }

    /// What moves a step. The label is the command's own name, as in everything that is written about it.
    pub(crate) fn of_step(&self, verb: &str, run: &str, step: &str, subjects: &[String]) -> Vec<Act> {
        let act = |label: &str, command: String| self.act(label, format!("{command} --run {run} {REASON}"));
        match verb {
            "approve" => vec![act("approve", format!("approve {step}")), act("deny", format!("approve {step} --deny"))],
            "override" if subjects.is_empty() => vec![act(verb, format!("override {step} SIGNAL"))],
            "override" => subjects.iter().map(|subject| act(verb, format!("override {step} {subject}"))).collect(),
            "retry" | "skip" => vec![act(verb, format!("{verb} {step}"))],
            _ => Vec::new(),
        }
    }

    /// What moves a run as a whole.
    pub(crate) fn of_run(&self, verb: &str, run: &str) -> Vec<Act> {
        match verb {
            "hold" | "resume" | "abort" | "undo" => vec![self.act(verb, format!("{verb} {run} {REASON}"))],
            _ => Vec::new(),
        }
    }

    /// What moves a migration. `incident`: the open one.
    pub(crate) fn of_migration(&self, verb: &str, migration: &str, incident: Option<&str>) -> Vec<Act> {
        let incident = incident.map_or(String::new(), |id| format!(" --incident {id}"));
        match verb {
            "arm" | "cutover" => vec![self.act(verb, format!("{verb} {migration}"))],
            "disarm" | "unmute" => vec![self.act(verb, format!("{verb} {migration} {REASON}"))],
            "phase" => vec![self.act(verb, format!("phase PHASE {migration} {REASON}"))],
            "mute" => vec![self.act(verb, format!("mute {migration} --for 30m {REASON}"))],
            "rollback" => vec![self.act(verb, format!("rollback {migration} {REASON} --wait"))],
            "decide" => ["roll-back", "fix-forward"]
                .map(|answer| self.act(answer, format!("decide {answer}{incident} {REASON}")))
                .into(),
            _ => Vec::new(),
        }
    }
}
