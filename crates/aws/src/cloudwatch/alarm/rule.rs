//! The rule of a composite alarm, as far as it names other alarms: `ALARM("checkout-5xx") AND NOT OK(queue-depth)`. Pure.

const STATES: [&str; 3] = ["INSUFFICIENT_DATA", "ALARM", "OK"];

/// The alarms that a rule names, each once: by name, also where it has an ARN.
pub(super) fn children(rule: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut rest = rule;
    while let Some((name, after)) = next(rest) {
        // An ARN ends with the name, which may have colons of its own.
        let arn = name.strip_prefix("arn:").and_then(|arn| arn.split_once(":alarm:"));
        let name = arn.map_or(name, |(_, name)| name).to_owned();
        if !name.is_empty() && !found.contains(&name) {
            found.push(name);
        }
        rest = after;
    }
    found
}

/// The argument of the first state function, and what follows it.
fn next(rule: &str) -> Option<(&str, &str)> {
    let opens = rule.match_indices('(').find(|(at, _)| {
        let before = rule[..*at].trim_end();
        STATES.iter().any(|state| before.ends_with(state))
    })?;
    let argument = rule[opens.0 + 1..].trim_start();
    match argument.chars().next()? {
        quote @ ('"' | '\'') => argument[1..].split_once(quote),
        _ => argument.split_once(')').map(|(name, after)| (name.trim(), after)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_its_children() {
        let cases: [(&str, &[&str]); 6] = [
            ("ALARM(errors)", &["errors"]),
            (
                r#"(ALARM("errors (5xx)") OR OK ( latency )) AND NOT ALARM('deploy')"#,
                &["errors (5xx)", "latency", "deploy"],
            ),
            (
                "ALARM(arn:aws:cloudwatch:eu-west-1:111122223333:alarm:errors: all) OR ALARM(errors)",
                &["errors: all", "errors"],
            ),
            ("INSUFFICIENT_DATA(a) AND ALARM(a)", &["a"]),
            ("TRUE", &[]),
            ("ALARM(", &[]),
        ];
        for (rule, names) in cases {
            assert_eq!(children(rule), names, "{rule}");
        }
    }
}
