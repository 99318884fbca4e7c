//! CloudWatch: alarms with their states, and metrics whose data comes late.

mod alarm;
mod expression;
mod metric;

use jiff::Timestamp;
use serde_json::Value;

pub use self::{alarm::Alarm, metric::Metric};
use crate::{
    answer::{Answered, Refusal},
    input::Input,
    world::Place,
};

#[derive(Debug, Clone, Default)]
pub struct CloudWatch {
    /// Types of alarms that this partition does not know: one of them refuses the whole call.
    pub unknown_types: Vec<&'static str>,
    alarms: Vec<Alarm>,
    metrics: Vec<Metric>,
}

impl CloudWatch {
    pub(crate) fn answer(&mut self, place: &Place, now: Timestamp, operation: &str, input: &Value) -> Answered {
        let input = Input(input);
        match operation {
            "DescribeAlarms" => self.describe_alarms(place, now, input),
            "GetMetricData" => self.get_metric_data(place, now, input),
            _ => Err(Refusal::bad("InvalidAction", format!("the stand-in has no cloudwatch:{operation}"))),
        }
    }
}

/// As CloudWatch words it, for the whole call.
fn invalid(what: &str, constraint: &str) -> Refusal {
    let message = format!("1 validation error detected: Value at '{what}' failed to satisfy constraint: {constraint}");
    Refusal::bad("ValidationError", message)
}
