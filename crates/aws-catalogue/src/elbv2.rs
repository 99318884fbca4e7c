//! Load balancers: `alb.forward`, `alb.targets`, and the `target_health` signal.

pub mod forward;
pub mod target;
pub mod target_health;
pub mod targets;

use belay_plan::shape::Text;

pub const TARGET_GROUP: Text = Text::new(
    "the name or the ARN of a target group",
    Some(
        "^([A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?\
         |arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:targetgroup/[^/]+/[^/]+)$",
    ),
);

/// The name of a target group, from its ARN or its name.
pub fn group_name(group: &str) -> &str {
    group.split('/').nth(1).unwrap_or(group)
}
