//! The specs of the systems, for the tests of the language.

pub mod channels;
pub mod cloudwatch;
pub mod elbv2;
pub mod probes;
pub mod rds;
pub mod route53;

use belay_plan::catalogue::Catalogue;

pub fn catalogue() -> Catalogue {
    let mut signals = Vec::from(cloudwatch::signal_specs());
    signals.push(elbv2::signal_spec());
    signals.push(rds::signal_spec());
    signals.extend(probes::signal_specs());
    Catalogue::new([route53::spec(), elbv2::spec(), rds::spec()], signals)
        .with_channels(channels::specs(), channels::check_text)
}
