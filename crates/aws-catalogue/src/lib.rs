//! What plans can say of AWS: actions, signals and channels, with the settings that they take.
//!
//! Nothing here knows the SDK, so a plan is validated, drawn, explored and rehearsed by a build that has none. What acts on
//! these settings is `belay-aws`.

pub mod channels;
pub mod cloudwatch;
pub mod elbv2;
pub mod jobs;
pub mod rds;
pub mod route53;

use belay_plan::catalogue::{ActionSpec, ChannelSpec, SignalSpec};

/// The actions that plans may use.
pub fn action_specs() -> Vec<ActionSpec> {
    vec![
        route53::spec(),
        elbv2::forward::spec(),
        elbv2::targets::spec(),
        rds::restore::spec(),
        rds::backtrack::spec(),
        rds::failover::spec(),
        rds::switch_back::spec(),
        jobs::automation::spec(),
        jobs::state_machine::spec(),
        jobs::function::spec(),
    ]
}

/// The signals that plans may use.
pub fn signal_specs() -> Vec<SignalSpec> {
    vec![cloudwatch::alarm::spec(), cloudwatch::metric::spec(), elbv2::target_health::spec(), rds::status::spec()]
}

/// The channels that plans may use.
pub fn channel_specs() -> Vec<ChannelSpec> {
    vec![channels::sns(), channels::event_bus()]
}
