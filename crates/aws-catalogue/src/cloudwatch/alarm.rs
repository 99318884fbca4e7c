//! What `alarm` takes: the name of an alarm, or its ARN.

use belay_plan::{
    catalogue::{Finding as Defect, SignalSpec, no_signal_findings},
    model::AwsTarget,
    shape::text,
};
use serde::Deserialize;
use serde_json::Value;

use crate::cloudwatch::{ALARM, Missing, missing_field};

/// Of an alarm's name, in characters (API reference, `PutMetricAlarm`). A call that asks for a longer one is refused whole.
const NAME_MAX: usize = 255;

/// What `alarm` takes.
pub fn spec() -> SignalSpec {
    SignalSpec {
        key: ALARM,
        summary: "The state of a metric, composite or log alarm: healthy while it is OK.",
        value: text("the name of an alarm, or its ARN"),
        siblings: vec![missing_field()],
        check,
        remarks: no_signal_findings,
    }
}

/// The signal's entry.
#[derive(Debug, Deserialize)]
pub struct Spec {
    pub alarm: String,
    #[serde(default)]
    pub missing: Missing,
}

/// An alarm's ARN: `arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arn<'a> {
    region: &'a str,
    account: &'a str,
    name: &'a str,
}

impl<'a> Arn<'a> {
    /// Names may hold colons.
    fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.splitn(7, ':').collect();
        let ["arn", _, "cloudwatch", region, account, "alarm", name] = parts[..] else { return None };
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        (is_account && !region.is_empty() && !name.is_empty()).then_some(Self { region, account, name })
    }
}

/// An ARN names the place of the alarm; the signal's own `aws:` has to name the same.
fn check(spec: &Value) -> Vec<Defect> {
    let alarm = spec[ALARM].as_str().unwrap_or_default();
    if !alarm.starts_with("arn:") {
        return impossible(alarm).into_iter().collect();
    }
    let Some(arn) = Arn::parse(alarm) else {
        let defect = Defect::new("/alarm", format!("`{alarm}` is not the ARN of an alarm"));
        return vec![defect.help("write `arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME`, or the name alone")];
    };
    let aws = &spec["aws"];
    let role_account = aws["role"].as_str().and_then(|role| role.split(':').nth(4));
    let said = [
        ("/aws/region", "region", aws["region"].as_str(), arn.region),
        ("/aws/account", "account", aws["account"].as_str(), arn.account),
        ("/aws/role", "role of account", role_account, arn.account),
    ];
    let contradictions = said.into_iter().filter_map(|(place, what, said, found)| {
        let said = said.filter(|said| *said != found)?;
        let defect = Defect::new(place, format!("the {what} {said} is not that of the alarm's ARN, {found}"));
        Some(defect.help("leave out what the ARN names already, or correct the ARN"))
    });
    contradictions.chain(impossible(arn.name)).collect()
}

/// A name that no alarm can have.
fn impossible(name: &str) -> Option<Defect> {
    let length = name.chars().count();
    let message = match name.chars().find(|c| c.is_ascii_control()) {
        _ if length > NAME_MAX => format!("no alarm has this name: it has {length} characters"),
        Some(control) => format!("no alarm has this name: it contains the control character {control:?}"),
        None => return None,
    };
    let help =
        format!("a name has up to {NAME_MAX} characters, none of them a control character: copy it from CloudWatch");
    Some(Defect::new("/alarm", message).help(help))
}

/// Where an alarm is, and its name there.
pub fn located<'a>(alarm: &'a str, aws: &AwsTarget) -> (AwsTarget, &'a str) {
    let Some(arn) = Arn::parse(alarm) else { return (aws.clone(), alarm) };
    // A role is of one account.
    let is_role_of_it = aws.role.as_deref().and_then(|role| role.split(':').nth(4)) == Some(arn.account);
    let target = AwsTarget {
        account: Some(arn.account.to_owned()),
        region: Some(arn.region.to_owned()),
        role: aws.role.clone().filter(|_| is_role_of_it),
        external_id: aws.external_id.clone().filter(|_| is_role_of_it),
    };
    (target, arn.name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:cloudwatch:us-east-1:444455556666:alarm:errors: too many";

    #[test]
    fn an_arn_says_where_the_alarm_is() {
        let role = |account: &str| Some(format!("arn:aws:iam::{account}:role/belay"));
        let there = AwsTarget {
            account: Some("444455556666".to_owned()),
            region: Some("us-east-1".to_owned()),
            role: role("444455556666"),
            external_id: Some("x".to_owned()),
        };
        let here = AwsTarget {
            role: role("111122223333"),
            external_id: Some("y".to_owned()),
            ..AwsTarget {
                account: Some("111122223333".to_owned()),
                region: Some("eu-west-1".to_owned()),
                ..AwsTarget::default()
            }
        };
        let stranger = AwsTarget { role: None, external_id: None, ..there.clone() };
        assert_eq!(located(ARN, &there), (there.clone(), "errors: too many"));
        assert_eq!(located(ARN, &here), (stranger, "errors: too many"));
        assert_eq!(located("errors", &here), (here.clone(), "errors"));
    }

    fn found(alarm: &str, aws: Value) -> Vec<(String, String)> {
        let defects = check(&json!({"alarm": alarm, "aws": aws})).into_iter();
        defects.map(|defect| (defect.pointer, defect.message)).collect()
    }

    #[test]
    fn an_arn_and_the_signals_own_aws_agree() {
        assert!(found("errors", json!({"region": "eu-west-1"})).is_empty());
        assert!(found(ARN, Value::Null).is_empty());
        assert!(found(ARN, json!({"region": "us-east-1", "account": "444455556666"})).is_empty());
        let wrong = json!({
            "region": "eu-west-1", "account": "111122223333", "role": "arn:aws:iam::777788889999:role/belay"
        });
        let expected = [
            ("/aws/region", "the region eu-west-1 is not that of the alarm's ARN, us-east-1"),
            ("/aws/account", "the account 111122223333 is not that of the alarm's ARN, 444455556666"),
            ("/aws/role", "the role of account 777788889999 is not that of the alarm's ARN, 444455556666"),
        ];
        assert_eq!(found(ARN, wrong), expected.map(|(place, what)| (place.to_owned(), what.to_owned())));
        for wrong in ["arn:aws:sns:eu-west-1:444455556666:errors", "arn:aws:cloudwatch:eu-west-1:4444:alarm:errors"] {
            assert_eq!(found(wrong, Value::Null)[0].0, "/alarm", "{wrong}");
        }
    }

    #[test]
    fn a_name_that_no_alarm_can_have_is_found() {
        let arn = |name: &str| format!("arn:aws:cloudwatch:us-east-1:444455556666:alarm:{name}");
        let longest = "ä".repeat(255);
        for name in [longest.clone(), arn(&longest)] {
            assert!(found(&name, Value::Null).is_empty(), "{name}");
        }
        let too_long = "no alarm has this name: it has 256 characters";
        let control = "no alarm has this name: it contains the control character '\\n'";
        for (name, message) in [("a".repeat(256), too_long), ("two\nlines".to_owned(), control)] {
            for name in [name.clone(), arn(&name)] {
                assert_eq!(found(&name, Value::Null), [("/alarm".to_owned(), message.to_owned())]);
            }
        }
    }
}
