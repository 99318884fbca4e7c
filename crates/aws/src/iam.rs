//! The least policies: what the steps, signals and channels of a plan declare, as IAM takes it.
//!
//! One [`Policy`] is one managed policy of one [`Principal`]. [`policies`] and [`boundaries`] make them; the three forms
//! ([`json`], [`terraform`], [`cloudformation`]) only write them down. Pure.

mod boundary;
mod cloudformation;
mod json;
mod names;
mod policy;
mod principal;
mod terraform;
#[cfg(test)]
mod tests;
mod wide;

pub use self::{
    boundary::boundaries,
    cloudformation::cloudformation,
    json::json,
    policy::{Effect, Only, Policy, SIZE_MAX, Statement, policies},
    principal::Principal,
    terraform::terraform,
    wide::wide,
};
