//! What the daemon and the engine say of themselves: the parts that people get to see.

mod migration;
mod run;

pub(crate) use self::{
    migration::{Migration, Signal, Trigger},
    run::{Approval, Gate, Run, Step, Waiting},
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::exit::{Exit, Failure};

fn read<T: DeserializeOwned>(document: &Value, what: &str) -> Result<T, Failure> {
    T::deserialize(document).map_err(|error| {
        let error =
            anyhow::Error::new(error).context(format!("what the daemon says of its {what} cannot be understood"));
        Failure::new(Exit::Unexpected, error).help("the daemon and this command should be of the same version")
    })
}
