//! Policies as a CloudFormation template, in JSON.

use serde_json::{Map, Value, json};

use super::{names::logical_ids, policy::Policy};

/// A stack of `AWS::IAM::ManagedPolicy`. Policies of several accounts come into being each in its own.
pub fn cloudformation(policies: &[Policy]) -> Value {
    let (mut conditions, mut resources, mut outputs) = (Map::new(), Map::new(), Map::new());
    let first = policies.first().map(|policy| &policy.principal.account);
    let several_accounts = policies.iter().any(|policy| Some(&policy.principal.account) != first);
    let ids = logical_ids(policies.iter().map(|policy| policy.name.as_str()));
    for (policy, id) in policies.iter().zip(ids) {
        let mut resource = json!({
            "Type": "AWS::IAM::ManagedPolicy",
            "Metadata": { "For": policy.principal.to_string() },
            "Properties": {
                "ManagedPolicyName": policy.name,
                "Description": policy.description(),
                "PolicyDocument": policy.document(),
            },
        });
        let mut output = json!({ "Value": { "Ref": id } });
        if let Some(account) = policy.principal.account.as_ref().filter(|_| several_accounts) {
            let condition = format!("InAccount{account}");
            for part in [&mut resource, &mut output] {
                part["Condition"] = json!(condition);
            }
            conditions.insert(condition, json!({ "Fn::Equals": [{ "Ref": "AWS::AccountId" }, account] }));
        }
        resources.insert(id.clone(), resource);
        outputs.insert(format!("{id}Arn"), output);
    }
    let mut template = Map::from_iter([("AWSTemplateFormatVersion".to_owned(), json!("2010-09-09"))]);
    for (section, content) in [("Conditions", conditions), ("Resources", resources), ("Outputs", outputs)] {
        if !content.is_empty() {
            template.insert(section.to_owned(), Value::Object(content));
        }
    }
    Value::Object(template)
}
