//! Policies as Terraform's HCL.

use std::fmt::Write as _;

use belay_plan::visible;

use super::{
    names::labels,
    policy::{Policy, Statement},
};

/// A document and a managed policy for each, as `terraform fmt` lays them out.
pub fn terraform(policies: &[Policy]) -> String {
    let labels = labels(policies.iter().map(|policy| policy.name.as_str()));
    let blocks = policies.iter().zip(&labels).map(|(policy, label)| block(policy, label));
    blocks.collect::<Vec<_>>().join("\n")
}

fn block(policy: &Policy, label: &str) -> String {
    let statements = policy.statements.iter().map(statement).collect::<Vec<_>>().join("\n");
    format!(
        "# For {}.\ndata \"aws_iam_policy_document\" \"{label}\" {{\n{statements}}}\n\n\
         resource \"aws_iam_policy\" \"{label}\" {{\n  name        = {}\n  description = {}\n  policy      = \
         data.aws_iam_policy_document.{label}.json\n}}\n",
        visible::line(&policy.principal.to_string()),
        quoted(&policy.name),
        quoted(&policy.description()),
    )
}

fn statement(statement: &Statement) -> String {
    let mut text = format!(
        "  statement {{\n    sid    = {}\n    effect = {}\n\n    actions = {}\n\n    resources = {}\n",
        quoted(&statement.sid),
        quoted(statement.effect.word()),
        list(&statement.actions),
        list(&statement.resources),
    );
    for condition in &statement.conditions {
        // Writing into a string cannot fail.
        let _ = write!(
            text,
            "\n    condition {{\n      test     = {}\n      variable = {}\n      values   = [{}]\n    }}\n",
            quoted(&condition.operator),
            quoted(&condition.key),
            quoted(&condition.value),
        );
    }
    text + "  }\n"
}

fn list(texts: &[String]) -> String {
    match texts {
        [one] => format!("[{}]", quoted(one)),
        several => {
            let lines: String = several.iter().map(|text| format!("      {},\n", quoted(text))).collect();
            format!("[\n{lines}    ]")
        }
    }
}

/// A template of HCL that says just this. Terraform's document would read `&{` as the beginning of a policy variable, which
/// IAM writes `${`: neither stands in what AWS names.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '$' | '%' if letters.peek() == Some(&'{') => quoted.extend([letter, letter]),
            plain if visible::is_plain(plain) => quoted.push(plain),
            other => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(other));
            }
        }
    }
    quoted + "\""
}
