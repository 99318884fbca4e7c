use std::path::PathBuf;

use clap::ValueEnum;

use crate::{
    assembly::State,
    aws::print_policies,
    exit::{Exit, Failure},
    output::Output,
    plan_file::Overlay,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The policy document; of several policies, an array with their names
    Json,
    /// `aws_iam_policy_document` and `aws_iam_policy`
    Terraform,
    /// A template of `AWS::IAM::ManagedPolicy`, in JSON
    Cloudformation,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Part {
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
    pub(crate) plan: PathBuf,
    #[command(flatten)]
    pub(crate) overlay: Overlay,
    #[arg(long, value_enum, default_value = "json")]
    pub(crate) format: Format,
    /// A part alone; both together are the whole
    #[arg(long, value_enum, value_name = "PART")]
    pub(crate) only: Option<Part>,
    /// The permissions boundary in place of the policy: the same, and no deletion, whatever else is attached later
    #[arg(long)]
    pub(crate) boundary: bool,
    /// A baseline that `belay capture` wrote, instead of the one that the journal keeps
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) state: State,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        print_policies(self, output).await
    }
}
