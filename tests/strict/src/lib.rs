//! AWS as it really is, in a test package: state machines with AWS's delays, and refusals in AWS's words.
//!
//! One pure implementation, [`World::handle`], is used in two ways: as the HTTP client of the SDK in virtual time
//! ([`Scene`]), and behind a socket (`belay_tests::Strict`) by the real binary.

mod agenda;
mod answer;
pub mod cloudwatch;
mod connector;
pub mod elb;
mod fault;
mod input;
pub mod lambda;
mod paced;
mod page;
pub mod rds;
pub mod route53;
mod scene;
mod service;
pub mod ssm;
pub mod states;
mod sts;
mod throttle;
mod wire;
mod world;

pub use answer::{Refusal, Reply};
pub use connector::Shared;
pub use fault::{Blow, Call, Outcome, Which};
pub use scene::{Played, Scene};
pub use service::Service;
pub use wire::{Answer, Request};
pub use world::{Thing, World};
