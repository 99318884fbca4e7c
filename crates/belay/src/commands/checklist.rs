use std::path::Path;

use belay_core::migration::Migration;
use belay_plan::checklist::Part;
use belay_report::listing::listing;
use clap::ValueEnum;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    assembly::catalogue,
    client::Daemon,
    exit::{Exit, Failure},
    output::Output,
    plan_file::{Overlay, load},
    text,
};

/// Show what people see to before, during and after a cutover, and after a rollback; and tick it
///
/// What Belay knows, or its readiness checks show, is ticked with its evidence, and no longer once a check finds something else. What
/// people tick goes on record with who and why; a plan adds items of its own (`checklist`). For another attempt the list begins anew.
/// Of a plan file, the list is shown without a daemon, and nothing of it is ticked.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay checklist plan.yaml --phase before
  belay checklist checkout-cutover
  belay checklist --tick backup_verified --reason \"snapshot 17 was restored\"
  belay checklist --untick backup_verified --reason \"the wrong snapshot\"")]
pub(crate) struct Args {
    /// A migration of the daemon, needed only where it has several; or a plan file
    #[arg(value_name = "PLAN|MIGRATION")]
    subject: Option<String>,
    /// Only this part
    #[arg(long, value_enum, value_name = "PHASE")]
    phase: Option<Phase>,
    /// Tick this item
    #[arg(long, value_name = "ID", requires = "reason")]
    tick: Option<String>,
    /// Take the tick of this item back
    #[arg(long, value_name = "ID", requires = "reason", conflicts_with = "tick")]
    untick: Option<String>,
    /// Why; goes on record
    #[arg(long, value_parser = crate::given::reason)]
    reason: Option<String>,
    #[command(flatten)]
    pub(crate) daemon: Daemon,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Phase {
    Before,
    During,
    After,
    AfterRollback,
}

impl From<Phase> for Part {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Before => Self::Before,
            Phase::During => Self::During,
            Phase::After => Self::After,
            Phase::AfterRollback => Self::AfterRollback,
        }
    }
}

/// As the daemon describes it.
#[derive(Debug, Deserialize)]
struct Listed {
    id: String,
    part: Part,
    group: String,
    what: String,
    done: bool,
    note: String,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let file = self.subject.as_deref().map(Path::new).filter(|path| path.is_file());
        let plan = file.map(|path| load(path, &Overlay::default(), &catalogue(), output)).transpose()?;
        let change = self.tick.as_ref().map(|item| (item, true)).or(self.untick.as_ref().map(|item| (item, false)));
        let mut document = match (plan, change) {
            (Some(loaded), None) => {
                let state = Migration::new(loaded.plan.migration.clone());
                json!({ "migration": state.name, "run": null, "items": listing(&loaded.plan, &state, None, None), "readiness": null,
                    "not_evaluated": "without a daemon; `belay check PLAN` evaluates it" })
            }
            (plan, change) => {
                let named = plan.map(|loaded| loaded.plan.migration).or(self.subject.clone());
                let client = self.daemon.client()?;
                let migration = client.migration(named.as_deref()).await?;
                let path = format!("migrations/{migration}/checklist");
                match change {
                    None => client.get(&path).await?,
                    Some((item, done)) => {
                        let body = json!({ "done": done, "reason": self.reason });
                        client.post(&format!("{path}/{item}"), &body).await?
                    }
                }
            }
        };
        let wanted = self.phase.map(Part::from);
        if let Some(items) = document["items"].as_array_mut() {
            items.retain(|item| wanted.is_none_or(|part| item["part"] == part.as_str()));
        }
        match output.json {
            true => output.document(&document),
            false => show(&document, output)?,
        }
        Ok(Exit::Done)
    }
}

fn show(document: &Value, output: Output) -> Result<(), Failure> {
    if let Some(why) = document["not_evaluated"].as_str() {
        output.note(format_args!("readiness was not evaluated, so no check ticks an item: {why}"));
    }
    let items = Vec::<Listed>::deserialize(&document["items"]).map_err(|error| {
        let error = anyhow::Error::new(error).context("what the daemon says of its checklist cannot be understood");
        Failure::new(Exit::Unexpected, error).help("the daemon and this command should be of the same version")
    })?;
    let (mut part, mut group) = (None, String::new());
    for item in &items {
        if part != Some(item.part) {
            let of = items.iter().filter(|other| other.part == item.part);
            let done = of.clone().filter(|other| other.done).count();
            let title = output.bold().apply_to(text::words(item.part.as_str())).to_string();
            output.line(format_args!("{title} {}", output.dim().apply_to(format!("{done} of {}", of.count()))));
            (part, group) = (Some(item.part), String::new());
        }
        if group != item.group {
            output.line(format_args!("  {}", output.dim().apply_to(&item.group)));
            group.clone_from(&item.group);
        }
        let mark = if item.done { output.good().apply_to("[x]") } else { output.warn().apply_to("[ ]") };
        output.line(format_args!("    {mark} {}  {}", output.accent().apply_to(&item.id), item.what));
        if !item.note.is_empty() {
            output.line(format_args!("          {}", output.dim().apply_to(&item.note)));
        }
    }
    Ok(())
}
