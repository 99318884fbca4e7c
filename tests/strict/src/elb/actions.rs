//! The actions of listeners and rules: what AWS refuses of them.

use serde_json::{Value, json};

use super::Elb;
use crate::{answer::Refusal, input::Input};

/// What an action may have (API reference, Action).
const KNOWN: &str = "Type Order TargetGroupArn ForwardConfig RedirectConfig FixedResponseConfig AuthenticateOidcConfig \
                     AuthenticateCognitoConfig JwtValidationConfig";

/// The groups that an action forwards to.
pub(super) fn groups(action: &Value) -> Vec<&str> {
    let tuples = action["ForwardConfig"]["TargetGroups"]["member"].as_array().into_iter().flatten();
    let several = tuples.filter_map(|tuple| tuple["TargetGroupArn"].as_str());
    several.chain(action["TargetGroupArn"].as_str()).collect()
}

impl Elb {
    /// The actions as they will be listed.
    pub(super) fn checked_actions(&self, actions: &[Value], kind: &str) -> Result<Vec<Value>, Refusal> {
        let mut orders = Vec::new();
        for action in actions {
            let action = Input(action).only(KNOWN)?;
            let refused = |message: String| Err(Refusal::bad("InvalidLoadBalancerAction", message));
            if let Some(order) = action.text("Order") {
                if orders.contains(&order) {
                    return refused(format!("Actions must have unique orders, and {order} comes twice"));
                }
                orders.push(order);
            }
            if action.text("Type") != Some("forward") {
                continue;
            }
            let config = Input(&action.0["ForwardConfig"]);
            if !config.0.is_null() {
                config.only("TargetGroups TargetGroupStickinessConfig")?;
            }
            let tuples = config.list("TargetGroups", "member");
            // API reference, ForwardActionConfig: up to five groups, weights from 0 to 999.
            if tuples.len() > 5 {
                return refused("An action can forward to at most five target groups".to_owned());
            }
            let weight = |tuple: &Value| Input(tuple).number("Weight").unwrap_or(1);
            if tuples.iter().any(|tuple| !(0..=999).contains(&weight(tuple))) {
                return Err(Refusal::bad("ValidationError", "Target group weight must be between 0 and 999"));
            }
            if kind == "gateway" && tuples.len() > 1 {
                return refused("A gateway load balancer forwards to one target group".to_owned());
            }
            for arn in groups(action.0) {
                if !self.groups.iter().any(|group| group.arn == arn) {
                    return Err(Refusal::bad("TargetGroupNotFound", format!("Target group '{arn}' not found")));
                }
            }
        }
        Ok(actions.iter().map(listed).collect())
    }
}

/// A lone group is listed both ways, whichever way it was given; and stickiness is listed as off where it was not given.
pub(super) fn listed(action: &Value) -> Value {
    let mut action = action.clone();
    if action["Type"] != "forward" {
        return action;
    }
    if action["ForwardConfig"].is_null() {
        let arn = action["TargetGroupArn"].clone();
        action["ForwardConfig"] = json!({ "TargetGroups": { "member": [{ "TargetGroupArn": arn, "Weight": "1" }] } });
    }
    if action["ForwardConfig"]["TargetGroupStickinessConfig"].is_null() {
        action["ForwardConfig"]["TargetGroupStickinessConfig"] = json!({ "Enabled": "false" });
    }
    let tuples = action["ForwardConfig"]["TargetGroups"]["member"].as_array().cloned().unwrap_or_default();
    if let ([one], true) = (tuples.as_slice(), action["TargetGroupArn"].is_null()) {
        action["TargetGroupArn"] = one["TargetGroupArn"].clone();
    }
    action
}
