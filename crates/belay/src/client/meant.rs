//! Which one is meant, where a command leaves it open: the only one there is. Where there are several, the answer is the
//! commands that name each.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Client;
use crate::{
    board::Act,
    exit::{Exit, Failure},
    given, text,
};

const OPEN_RUN: &str = "open run";
/// States of a run that is not over.
const OPEN: [&str; 4] = ["running", "held", "confirming", "halted"];
pub(crate) const IF_NONE_IS_OPEN: &str = "`belay status` shows what there is";

/// One that could be meant.
struct Candidate {
    id: String,
    /// What it is, for whoever has to choose.
    about: String,
}

impl Client {
    /// The migration that is meant: the one that is named, or the only one there is.
    pub(crate) async fn migration(&self, named: Option<&str>) -> Result<String, Failure> {
        if let Some(name) = named {
            return Ok(name.to_owned());
        }
        let found = candidates(&self.list("migrations").await?, "name", |_| true);
        only_one(found, "migration", "start the daemon with --plan PLAN", |name| given::with(&[name]))
    }

    /// The run that is meant: the one that is named, or the only one that is open.
    pub(crate) async fn run(&self, named: Option<&str>) -> Result<String, Failure> {
        if let Some(id) = named {
            return Ok(id.to_owned());
        }
        let found = candidates(&self.open_runs().await?, "id", |_| true);
        only_one(found, OPEN_RUN, IF_NONE_IS_OPEN, |id| given::with(&[id]))
    }

    /// The run in which a step is meant: the one that is named, or the only open one that has the step.
    pub(crate) async fn run_of_step(&self, named: Option<&str>, step: &str) -> Result<String, Failure> {
        if let Some(id) = named {
            return Ok(id.to_owned());
        }
        let open = self.open_runs().await?;
        let found = candidates(&open, "id", |run| run["steps"].get(step).is_some());
        if found.is_empty() && !open.is_empty() {
            let steps = open.iter().filter_map(|run| run["steps"].as_object()).flat_map(|steps| steps.keys());
            let steps = steps.map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ");
            return Err(Failure::message(Exit::Usage, format!("no open run has a step {step}"))
                .help(format!("the steps are: {steps}")));
        }
        only_one(found, OPEN_RUN, IF_NONE_IS_OPEN, |id| given::with(&["--run", id]))
    }

    /// The runs that somebody can still move.
    pub(crate) async fn open_runs(&self) -> Result<Vec<Value>, Failure> {
        let open = |run: &Value| {
            run["state"].as_str().is_some_and(|state| matches!(state, "running" | "held" | "confirming" | "halted"))
        };
        Ok(self.list("runs").await?.into_iter().filter(open).collect())
    }

    /// The rollback that is meant to be undone: the one that is named, or the only one that can be.
    pub(crate) async fn undoable(&self, named: Option<&str>) -> Result<String, Failure> {
        if let Some(id) = named {
            return Ok(id.to_owned());
        }
        let runs = self.list("runs").await?;
        let found = candidates(&runs, "id", |run| run["undoable"] == true);
        let open = runs.iter().find(|run| run["kind"] == "undo" && OPEN.iter().any(|state| run["state"] == *state));
        if let Some(open) = open.filter(|_| found.is_empty()) {
            let (id, state) = (open["id"].as_str().unwrap_or_default(), open["state"].as_str().unwrap_or_default());
            let what = format!("an undo is under way already: run {id} is {state}");
            return Err(Failure::message(Exit::Refused, what).help("`belay status` shows the commands that move it on"));
        }
        let if_none = "a rollback can be undone until its migration is armed again; `belay status` shows the last one";
        only_one(found, "rollback that can be undone", if_none, |id| given::with(&[id]))
    }

    /// The incident that is meant: the one that is named, or the only one that is open.
    pub(crate) async fn incident(&self, named: Option<&str>) -> Result<String, Failure> {
        if let Some(id) = named {
            return Ok(id.to_owned());
        }
        let found = candidates(&self.list("incidents").await?, "id", |incident| incident["closed"].is_null());
        only_one(found, "open incident", "`belay rollback` rolls back without one", |id| {
            given::with(&["--incident", id])
        })
    }
}

fn candidates(items: &[Value], key: &str, wanted: impl Fn(&Value) -> bool) -> Vec<Candidate> {
    let items = items.iter().filter(|item| wanted(item));
    let candidate = |item: &Value| {
        let about = [&item["migration"], &item["state"]].into_iter().filter_map(Value::as_str).map(text::words);
        Some(Candidate { id: item[key].as_str()?.to_owned(), about: about.collect::<Vec<_>>().join(", ") })
    };
    items.filter_map(candidate).collect()
}

fn only_one(
    mut found: Vec<Candidate>,
    what: &str,
    if_none: &str,
    command: impl Fn(&str) -> String,
) -> Result<String, Failure> {
    match found.len() {
        1 => Ok(found.remove(0).id),
        0 => Err(Failure::message(Exit::Refused, format!("there is no {what}")).help(if_none)),
        number => {
            let act = |candidate: &Candidate| Act { label: candidate.about.clone(), command: command(&candidate.id) };
            let failure = Failure::message(Exit::Usage, format!("which {what} is meant? There are {number}"));
            Err(Failure { acts: found.iter().map(act).collect(), ..failure.help("one of these:") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_meant_by_itself_and_several_are_not() {
        let found = |names: &[&str]| {
            let candidate = |name: &&str| Candidate { id: (*name).to_owned(), about: "halted".to_owned() };
            names.iter().map(candidate).collect::<Vec<_>>()
        };
        let one = |names| only_one(found(names), "migration", "", |name| format!("belay arm {name}"));
        assert_eq!(one(&["shop"]).unwrap(), "shop");
        assert_eq!(one(&[]).unwrap_err().exit, Exit::Refused);
        let several = one(&["shop", "stock"]).unwrap_err();
        assert_eq!(several.exit, Exit::Usage);
        let commands: Vec<&str> = several.acts.iter().map(|act| act.command.as_str()).collect();
        assert_eq!(commands, ["belay arm shop", "belay arm stock"]);
    }
}
