use std::{path::PathBuf, sync::Arc};

use belay_aws::{
    iam::{self, Only, Policy},
    session::Access,
};
use belay_journal::{MemoryJournal, StateUrl};
use belay_plan::model::Plan;
use clap::ValueEnum;

use crate::{
    assembly::{State, catalogue, ports},
    commands::{arm::read_baseline, dry_run::on_record},
    exit::{Exit, Failure},
    output::Output,
    paint,
    plan_file::{self, Overlay},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The policy document; of several policies, an array with their names
    Json,
    /// `aws_iam_policy_document` and `aws_iam_policy`
    Terraform,
    /// A template of `AWS::IAM::ManagedPolicy`, in JSON
    Cloudformation,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Part {
    /// The reads: for watching, `dry-run`, `capture`
    Watch,
    /// The writes
    Act,
}

/// Print the least IAM policy that a plan needs, offline
///
/// It is made of what each step, signal and channel declares. What cannot be narrowed down to a resource is said on standard
/// error. With a baseline, keys, roles and members of databases are in it by name.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay iam checkout.yaml > policy.json
  belay iam checkout.yaml --baseline base.json --format terraform > belay.tf
  belay iam checkout.yaml --only watch                # for people who may look
  belay iam checkout.yaml --boundary > b.json  # the most that the role can do")]
pub(crate) struct Args {
    plan: PathBuf,
    #[command(flatten)]
    overlay: Overlay,
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
    /// A part alone; both together are the whole
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
    /// The permissions boundary in place of the policy: the same, and no deletion, whatever else is attached later
    #[arg(long)]
    boundary: bool,
    /// A baseline that `belay capture` wrote, instead of the one that the journal keeps
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    #[command(flatten)]
    state: State,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        let loaded = plan_file::load(&self.plan, &self.overlay, &catalogue(), output)?;
        let plan = &loaded.plan;
        let given = self.baseline.as_ref().map(|path| read_baseline(path, &plan.migration)).transpose()?;
        let (kept, _) = on_record(&self.state.url, plan).await?;
        let baseline = given.as_ref().or(kept.baseline.as_deref());
        // Permissions are pure: nothing is asked of anything.
        let ports = ports(Access::ReadOnly, Arc::new(MemoryJournal::default()), Arc::new(()), Default::default());
        let needed = belay_engine::permissions(
            &*ports.actuators,
            &*ports.sensors,
            (&*ports.channels, &*ports.evidence),
            plan,
            baseline,
        );
        let only = self.only.map(|part| match part {
            Part::Watch => Only::Watch,
            Part::Act => Only::Act,
        });
        let policies = match self.boundary {
            true => iam::boundaries(&plan.migration, &needed, only),
            false => iam::policies(&plan.migration, &needed, only),
        };
        output.raw(&match self.format {
            Format::Json => paint::json(&format!("{:#}", iam::json(&policies))),
            Format::Terraform => iam::terraform(&policies),
            Format::Cloudformation => paint::json(&format!("{:#}", iam::cloudformation(&policies))),
        });
        self.remark(&policies, baseline.is_some(), plan, output);
        Ok(Exit::Done)
    }

    /// What people should know beside it.
    fn remark(&self, policies: &[Policy], has_baseline: bool, plan: &Plan, output: Output) {
        if policies.is_empty() {
            return output.note("nothing of this needs a permission of AWS");
        }
        if policies.len() > 1 {
            let (count, max) = (policies.len(), iam::SIZE_MAX);
            output.note(format_args!(
                "{count} policies: one for each principal, and another where {max} characters are full:"
            ));
            for policy in policies {
                output.note(format_args!("  {} for {}", policy.name, policy.principal));
            }
        }
        for line in iam::wide(policies) {
            output.note(line);
        }
        if !has_baseline && plan.steps.values().any(|step| step.action.starts_with("rds.")) {
            let StateUrl::Sqlite(path) = &self.state.url;
            output.note(format_args!(
                "no baseline is known ({} has none): what follows from the databases as they are now (their keys, roles and members) is \
                 not in it by name. `belay capture` writes one, for --baseline",
                path.display()
            ));
        }
    }
}
