//! `belay init`: from what is there to a plan.

mod ask;
mod file;
mod terraform;
mod trouble;

use std::path::PathBuf;

use belay_draft::{
    choice::{Choice, Wanted, choose},
    inventory::Inventory,
    text::{Draft, draft},
};
use serde_json::json;

use self::ask::Terminal;
use crate::{
    assembly::catalogue,
    aws::Account,
    commands::token,
    exit::{Exit, Failure},
    output::{Output, can_ask_aside},
    text,
};

/// Draft a plan from what the account contains
///
/// Reads the account (it can change nothing there): weighted records, load balancers, databases, alarms. What is the only one of its
/// kind becomes part of the plan; where there are several, flags choose, or you are asked on the terminal. Where a record or a listener is
/// named, only what belongs to it is taken of the other kind. A database becomes part
/// of it only when you name it, since its step loses data. The plan has comments, and contains only what was found: what could not be
/// known is listed at the end.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  belay init -o checkout.yaml
  belay init --record www.example.com --db orders -o checkout.yaml
  belay init --listener shop:443 --alarm shop-5xx --name shop > shop.yaml
  belay init --from-terraform terraform.tfstate --db orders -o checkout.yaml")]
pub(crate) struct Args {
    /// The name of the migration; left out: made of what the plan is about
    #[arg(long, value_parser = token::name)]
    name: Option<String>,
    /// A weighted record: www.example.com, or ZONE_ID/www.example.com; `none` leaves records out; may be repeated
    #[arg(long = "record", value_name = "NAME")]
    records: Vec<String>,
    /// A listener or rule that forwards: LOAD_BALANCER:PORT, LOAD_BALANCER:PORT/PRIORITY, or its ARN; `none` leaves them out; may be
    /// repeated
    #[arg(long = "listener", value_name = "LISTENER")]
    listeners: Vec<String>,
    /// A database to restore: the identifier of an instance or a cluster; may be repeated
    #[arg(long = "db", value_name = "NAME")]
    databases: Vec<String>,
    /// An alarm that starts a rollback; `none` leaves alarms out; may be repeated
    #[arg(long = "alarm", value_name = "NAME")]
    alarms: Vec<String>,
    /// The region; left out: that of the AWS configuration
    #[arg(long, value_parser = region)]
    region: Option<String>,
    /// Read a Terraform state instead of the account: a state file of version 4, or what `terraform show -json` has written; AWS is
    /// not asked
    #[arg(long, value_name = "STATE")]
    from_terraform: Option<PathBuf>,
    /// Write to this file instead of standard output; a file that is there is not written over
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// One JSON document on standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    pub(crate) async fn run(&self, output: Output) -> Result<Exit, Failure> {
        if let Some(path) = &self.output {
            file::refuse_to_overwrite(path)?;
        }
        let wanted = Wanted {
            records: self.records.clone(),
            listeners: self.listeners.clone(),
            databases: self.databases.clone(),
            alarms: self.alarms.clone(),
        };
        let (mut inventory, account) = match &self.from_terraform {
            Some(state) => (terraform::read(state, self.region.as_deref())?, None),
            None => {
                let account = Account::open(self.region.as_deref(), output).await?;
                (account.look(&wanted).await?, Some(account))
            }
        };
        let mut terminal = (!self.json && can_ask_aside()).then(|| Terminal::new(output));
        let choice = choose(&inventory, &wanted, &mut |question| terminal.as_mut()?.ask(question));
        let choice = choice.map_err(|troubles| trouble::failure(&troubles, &inventory, &self.typed(), output))?;
        if let Some(account) = account {
            account.look_closer(&mut inventory, &choice).await;
        }
        self.finish(&inventory, &choice, output)
    }

    /// The same from here on wherever the inventory comes from.
    fn finish(&self, inventory: &Inventory, choice: &Choice, output: Output) -> Result<Exit, Failure> {
        let Some(drafted) = draft(inventory, choice, self.name.as_deref()) else {
            return Err(trouble::nothing_to_restore_from(inventory, choice));
        };
        let catalogue = catalogue();
        let name = self.output.as_ref().map_or_else(|| "plan.yaml".to_owned(), |path| path.display().to_string());
        belay_plan::load(&name, &drafted.text, &catalogue)
            .map_err(|errors| trouble::invalid(&errors, inventory, choice, &catalogue))?;
        if let Some(path) = &self.output {
            file::write(path, &drafted.text)?;
        }
        self.show(inventory, choice, &drafted, output);
        Ok(Exit::Done)
    }

    fn show(&self, inventory: &Inventory, choice: &Choice, drafted: &Draft, output: Output) {
        let beside: Vec<&String> = choice.left_out.iter().chain(&inventory.notes).collect();
        if output.json {
            let file = self.output.as_ref().map(|path| path.display().to_string());
            output.document(&json!({
                "migration": drafted.migration, "file": file, "plan": drafted.text,
                "not_known": drafted.not_known, "left_out": beside,
            }));
            return;
        }
        if self.output.is_none() {
            output.raw(&drafted.text);
        }
        output.gap();
        for (title, sentences) in [
            ("not known, or for a person to decide:", drafted.not_known.iter().collect()),
            ("not part of the plan:", beside),
        ] {
            if sentences.is_empty() {
                continue;
            }
            output.note(title);
            sentences.into_iter().for_each(|sentence| output.note(format_args!("  - {sentence}")));
        }
        if let Some(path) = &self.output {
            let file = text::shell_word(&path.display().to_string());
            output.note(format_args!("the plan {} is in {file}", drafted.migration));
            output.note(format_args!("next: belay validate {file}; belay explore {file}; belay dry-run {file}"));
        }
    }

    /// The flags that chose, as they are typed, each with a blank before it.
    fn typed(&self) -> String {
        let flags = [
            ("--record", &self.records),
            ("--listener", &self.listeners),
            ("--db", &self.databases),
            ("--alarm", &self.alarms),
        ];
        let chosen = flags.into_iter().flat_map(|(flag, values)| values.iter().map(move |value| (flag, value.clone())));
        let others = [
            ("--name", self.name.clone()),
            ("--region", self.region.clone()),
            ("--from-terraform", self.from_terraform.as_ref().map(|path| path.display().to_string())),
            ("-o", self.output.as_ref().map(|path| path.display().to_string())),
        ];
        let others = others.into_iter().filter_map(|(flag, value)| Some((flag, value?)));
        others.chain(chosen).map(|(flag, value)| trouble::flag(flag, &value)).collect()
    }
}

fn region(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('-').collect();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|letter| letter.is_ascii_lowercase());
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    let fits = matches!(parts.as_slice(), [words @ .., number] if words.len() > 1 && words.iter().all(is_word) && is_number(number));
    if fits { Ok(text.to_owned()) } else { Err("a region is a name such as `eu-west-1`".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_written_as_plans_write_it() {
        assert!(region("eu-west-1").is_ok() && region("us-gov-west-1").is_ok());
        for wrong in ["", "eu", "eu-west", "eu-west-1a", "EU-WEST-1", "eu west 1", "--1"] {
            assert!(region(wrong).is_err(), "{wrong}");
        }
    }
}
