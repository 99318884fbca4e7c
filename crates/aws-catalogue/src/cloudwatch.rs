//! CloudWatch's signals: the state of an alarm (`alarm`), and a metric against a threshold (`metric`).

pub mod alarm;
pub mod metric;

use belay_plan::shape::{Field, field, words};
use serde::Deserialize;

/// The signals' keys in plans.
pub const ALARM: &str = "alarm";
pub const METRIC: &str = "metric";

/// What missing data reads as.
fn missing_field() -> Field {
    field("missing", words(["unknown", "healthy", "unhealthy"]), "What missing data reads as.").or("unknown")
}

/// What a plan wants missing data to read as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    #[default]
    Unknown,
    Healthy,
    Unhealthy,
}
