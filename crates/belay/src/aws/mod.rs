//! All that reaches AWS. A build without the feature `aws` has `without_aws.rs` in its place.

mod account;
mod policies;
mod ports;
mod progress;

pub(crate) use self::{account::Account, policies::print_policies, ports::ports};
use crate::exit::Failure;

/// For commands that write something before they reach AWS.
pub(crate) fn built_in() -> Result<(), Failure> {
    Ok(())
}
