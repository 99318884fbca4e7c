//! Databases: `rds.restore`, the ways back that need no restore, and the `rds_status` signal.

pub mod backtrack;
pub mod cluster_settings;
pub mod engines;
pub mod failover;
pub mod instance_settings;
pub mod restore;
pub mod status;
pub mod switch_back;

use belay_plan::shape::{Shape, pattern};

/// What RDS takes as the name of an instance or a cluster.
fn identifier(what: &'static str) -> Shape {
    pattern(what, "^[A-Za-z](-?[A-Za-z0-9]){0,62}$")
}

fn instance_shape() -> Shape {
    identifier("the identifier of a DB instance")
}

fn cluster_shape() -> Shape {
    identifier("the identifier of a DB cluster")
}
