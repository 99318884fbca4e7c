//! A target as the API describes it.

use aws_sdk_elasticloadbalancingv2::types::TargetDescription;
use belay_aws_catalogue::elbv2::target::{Address, Kind, Registration};

/// As it was registered. None for a description without an id.
pub(super) fn from_aws(target: TargetDescription) -> Option<Registration> {
    let port = target.port.and_then(|port| u16::try_from(port).ok());
    let address = Address { id: target.id?, port }.canonical();
    Some(Registration { address, zone: target.availability_zone, quic_server_id: target.quic_server_id })
}

pub(super) fn into_aws(target: Registration) -> TargetDescription {
    // Only addresses take a zone, and a function the word `all`.
    let zone = target.zone.filter(|_| matches!(Kind::of(&target.address.id), Kind::Ip | Kind::Lambda));
    TargetDescription::builder()
        .id(target.address.id)
        .set_port(target.address.port.map(i32::from))
        .set_availability_zone(zone)
        .set_quic_server_id(target.quic_server_id)
        .build()
}
