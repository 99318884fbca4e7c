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

    /// What moves a step that waits.
    pub(crate) fn of_step(&self, verb: &str, run: &str, step: &str, subjects: &[String]) -> Vec<Act> {
        let act = |label: &str, command: String| self.act(label, format!("{command} --run {run} {REASON}"));
        match verb {
            "approve" => vec![act("yes", format!("approve {step}")), act("no", format!("approve {step} --deny"))],
            "override" if subjects.is_empty() => vec![act("override", format!("override {step} SIGNAL"))],
            "override" => {
                let each = |subject: &String| act("override", format!("override {step} {subject}"));
                subjects.iter().map(each).collect()
            }
            "retry" => vec![act("try again", format!("retry {step}"))],
            "skip" => vec![act("skip it", format!("skip {step}"))],
            _ => Vec::new(),
        }
    }

    /// What moves a run as a whole.
    pub(crate) fn of_run(&self, verb: &str, run: &str, state: &str) -> Vec<Act> {
        let act = |label: &str, verb: &str| vec![self.act(label, format!("{verb} {run} {REASON}"))];
        match (verb, state) {
            ("resume", "halted") => act("retry all", "resume"),
            ("resume", _) => act("go on", "resume"),
            ("hold", _) => act("hold it", "hold"),
            ("abort", _) => act("give up", "abort"),
            ("undo", _) => act("undo it", "undo"),
            _ => Vec::new(),
        }
    }

    /// What moves a migration. `incident`: the open one.
    pub(crate) fn of_migration(&self, verb: &str, migration: &str, incident: Option<&str>) -> Vec<Act> {
        let incident = incident.map_or(String::new(), |id| format!(" --incident {id}"));
        match verb {
            "arm" => vec![self.act("guard it", format!("arm {migration}"))],
            "cutover" => vec![self.act("cutover", format!("cutover {migration}"))],
            "unmute" => vec![self.act("unmute", format!("unmute {migration} {REASON}"))],
            "disarm" => vec![self.act("disarm", format!("disarm {migration} {REASON}"))],
            "rollback" => vec![self.act("roll back", format!("rollback {migration} {REASON} --wait"))],
            "decide" => vec![
                self.act("roll back", format!("decide roll-back{incident} {REASON}")),
                self.act("fix forward", format!("decide fix-forward{incident} {REASON}")),
            ],
            _ => Vec::new(),
        }
    }
}
