//! A plan's permissions as IAM policies.

use std::sync::Arc;

use belay_aws::iam::{self, Only, Policy};
use belay_journal::{MemoryJournal, StateUrl};
use belay_plan::model::Plan;
use belay_ports::Access;

use super::ports;
use crate::{
    assembly::catalogue,
    commands::{
        arm::read_baseline,
        dry_run::on_record,
        iam::{Args, Format, Part},
    },
    exit::{Exit, Failure},
    output::Output,
    paint, plan_file,
};

/// The least IAM policies that a plan needs.
pub(crate) async fn print_policies(args: &Args, output: Output) -> Result<Exit, Failure> {
    let loaded = plan_file::load(&args.plan, &args.overlay, &catalogue(), output)?;
    let plan = &loaded.plan;
    let given = args.baseline.as_ref().map(|path| read_baseline(path, &plan.migration)).transpose()?;
    let (kept, _) = on_record(&args.state.url, plan).await?;
    let baseline = given.as_ref().or(kept.baseline.as_deref());
    // Permissions are pure: nothing is asked of anything.
    let ports = ports(Access::ReadOnly, Arc::new(MemoryJournal::default()), Arc::new(()), Default::default())?;
    let needed = belay_engine::permissions(
        &*ports.actuators,
        &*ports.sensors,
        (&*ports.channels, &*ports.evidence),
        plan,
        baseline,
    );
    let only = args.only.map(|part| match part {
        Part::Watch => Only::Watch,
        Part::Act => Only::Act,
    });
    let policies = match args.boundary {
        true => iam::boundaries(&plan.migration, &needed, only),
        false => iam::policies(&plan.migration, &needed, only),
    };
    output.raw(&match args.format {
        Format::Json => paint::json(&format!("{:#}", iam::json(&policies))),
        Format::Terraform => iam::terraform(&policies),
        Format::Cloudformation => paint::json(&format!("{:#}", iam::cloudformation(&policies))),
    });
    remark(args, &policies, baseline.is_some(), plan, output);
    Ok(Exit::Done)
}

/// What people should know beside it.
fn remark(args: &Args, policies: &[Policy], has_baseline: bool, plan: &Plan, output: Output) {
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
        let StateUrl::Sqlite(path) = &args.state.url;
        output.note(format_args!(
            "no baseline is known ({} has none): what follows from the databases as they are now (their keys, roles and members) is \
             not in it by name. `belay capture` writes one, for --baseline",
            path.display()
        ));
    }
}
