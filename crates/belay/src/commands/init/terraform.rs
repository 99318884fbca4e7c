//! A Terraform state as a source.

use std::path::Path;

use belay_aws_catalogue::rds::engines::unfit;
use belay_draft::{inventory::Inventory, terraform};
use belay_local::files;

use crate::exit::{Exit, Failure};

/// States of whole companies are a few dozens of MiB.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

pub(super) fn read(path: &Path, region: Option<&str>) -> Result<Inventory, Failure> {
    let file = path.display().to_string();
    let state = files::read_text(path, BYTES_MAX).map_err(|error| {
        let what = anyhow::Error::new(error).context(format!("the Terraform state {file} cannot be read"));
        Failure::new(Exit::Usage, what)
            .help("give the path of a state file: `terraform state pull > state.json` writes one")
    })?;
    let mut inventory = terraform::read(&file, &state.text, region).map_err(|error| {
        let help = error.help();
        Failure::message(Exit::Usage, format!("{file}: {error}")).help(help)
    })?;
    for database in &mut inventory.databases {
        database.unfit = unfit(database.cluster, &database.name, &database.engine);
    }
    Ok(inventory)
}
