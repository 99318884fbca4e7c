//! AWS systems: one file a system, its actuators and sensors on the AWS SDK.

mod budget;
mod calls;
pub mod channels;
pub mod cloudwatch;
mod detours;
pub mod discover;
pub mod elbv2;
pub mod errors;
mod evidence;
mod guard;
mod https;
pub mod iam;
pub mod jobs;
mod place;
pub mod rds;
mod resolver;
pub mod route53;
mod sensing;
mod services;
pub mod session;
mod systems;
#[cfg(test)]
mod testing;
mod weights;

pub use evidence::AwsEvidence;
pub use resolver::Resolver;
pub use systems::AwsSystems;
