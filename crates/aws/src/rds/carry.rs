//! Which settings the next modification sets, by what became of the ones before. Pure.
//!
//! All of a phase go in one call. RDS refuses a call as a whole, so what a refusal names is sent on its own afterwards, and
//! where it names nothing, each is: one refusal loses one setting. Those that RDS takes only together stay together.

use std::collections::{BTreeMap, BTreeSet};

use belay_core::change::SentOutcome;
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{fields, sent::Sent};

/// Settings that a restored database serves without. RDS shows them late, never as pending, and refuses every other
/// modification for minutes after them ("RDS is configuring Enhanced Monitoring or Performance Insights"), so they come after
/// the renames.
const AFTER_THE_SWAP: [&str; 7] = [
    "maintenance_window",
    "monitoring_interval_s",
    "monitoring_role",
    "database_insights_mode",
    "performance_insights",
    "performance_insights_kms_key",
    "performance_insights_retention_days",
];

/// When settings are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    BeforeTheSwap,
    AfterTheSwap,
}

impl Phase {
    /// The settings of this phase.
    pub(super) fn of<T: Serialize + DeserializeOwned>(self, settings: &T) -> T {
        fields::only(settings, |name| AFTER_THE_SWAP.contains(&name) == (self == Self::AfterTheSwap))
    }
}

/// What is to be done about settings that are not as they should be.
#[derive(Debug, PartialEq)]
pub(super) enum Next<T> {
    /// Send these under this id.
    Set { id: String, settings: T },
    /// They were accepted, and do not show yet.
    Wait { since: Timestamp },
    /// All are set, or RDS does not take them: reading back tells.
    Done,
}

/// `base`: the change's id; those of single settings have the setting's name behind it. `showing`: how long accepted settings
/// are waited for.
pub(super) fn next<T: Serialize + DeserializeOwned>(
    sent: &Sent<'_>,
    base: &str,
    wanted: &T,
    has: &T,
    showing: std::time::Duration,
) -> Next<T> {
    let missing = fields::missing(wanted, has);
    let names = fields::fields(&missing);
    let keys = keys(names.keys().map(String::as_str));
    let Told { alone, refused } = told(sent, base);
    let together: BTreeSet<&str> =
        keys.iter().copied().filter(|key| !alone.contains(*key) && !refused.contains_key(*key)).collect();
    let pick = |keys: &BTreeSet<&str>| fields::only(&missing, |name| keys.contains(fields::key(name)));
    if !together.is_empty() {
        match sent.at(base) {
            None => return Next::Set { id: base.to_owned(), settings: pick(&together) },
            Some(since) if sent.looked < since + showing => return Next::Wait { since },
            Some(_) => {}
        }
    }
    for key in keys.into_iter().filter(|key| alone.contains(*key) && !refused.contains_key(*key)) {
        let id = format!("{base}:{key}");
        match sent.at(&id) {
            None => return Next::Set { id, settings: pick(&[key].into()) },
            Some(since) if sent.looked < since + showing => return Next::Wait { since },
            Some(_) => {}
        }
    }
    Next::Done
}

/// What RDS has refused of a phase: the setting by which a group is known, and why.
pub(super) fn refused(sent: &Sent<'_>, base: &str) -> BTreeMap<String, String> {
    told(sent, base).refused
}

struct Told {
    /// Settings that are sent on their own.
    alone: BTreeSet<String>,
    refused: BTreeMap<String, String>,
}

fn told(sent: &Sent<'_>, base: &str) -> Told {
    let mut told = Told { alone: BTreeSet::new(), refused: BTreeMap::new() };
    let of_base = |change: &str| change == base || change.strip_prefix(base).is_some_and(|rest| rest.starts_with(':'));
    for one in sent.sends.iter().filter(|one| of_base(&one.change)) {
        let SentOutcome::Declined { why, body } = &one.outcome else { continue };
        let sent = names_in(&body["settings"]);
        let sent = keys(sent.iter().map(String::as_str));
        if let [key] = sent.iter().copied().collect::<Vec<_>>()[..] {
            told.refused.insert(key.to_owned(), why.clone());
            continue;
        }
        let named = names_in(&body["named"]);
        let named: BTreeSet<&str> = keys(named.iter().map(String::as_str)).intersection(&sent).copied().collect();
        let suspects = if named.is_empty() { sent } else { named };
        told.alone.extend(suspects.into_iter().map(ToOwned::to_owned));
    }
    told
}

pub(super) fn names_in(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(ToOwned::to_owned)).collect()
}

/// Each setting by the group that RDS takes it with.
fn keys<'n>(names: impl Iterator<Item = &'n str>) -> BTreeSet<&'n str> {
    names.map(fields::key).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use belay_core::change::{Receipt, Sent as Send};
    use serde_json::json;

    use super::*;
    use crate::rds::Settings;

    fn wanted() -> Settings {
        Settings {
            multi_az: Some(true),
            copy_tags_to_snapshot: Some(true),
            storage_type: Some("io1".to_owned()),
            iops: Some(4000),
            allocated_storage: Some(200),
            ..Settings::default()
        }
    }

    fn declined(change: &str, settings: &[&str], named: &[&str]) -> Send {
        let body = json!({ "settings": settings, "named": named });
        let outcome = SentOutcome::Declined { why: "no".to_owned(), body };
        Send { change: change.to_owned(), at: Timestamp::UNIX_EPOCH, outcome }
    }

    fn asked(sends: &[Send], receipts: &[Receipt], has: &Settings) -> Next<Settings> {
        let looked = Timestamp::from_second(100).unwrap();
        next(&Sent { sends, receipts, looked }, "carry", &wanted(), has, Duration::from_secs(60))
    }

    fn names(next: Next<Settings>) -> (String, Vec<String>) {
        match next {
            Next::Set { id, settings } => (id, settings.fields().keys().cloned().collect()),
            other => panic!("{other:?}"),
        }
    }

    fn accepted(change: &str, at: i64) -> Receipt {
        Receipt { change: change.to_owned(), at: Timestamp::from_second(at).unwrap(), body: Value::Null }
    }

    const ALL: [&str; 5] = ["allocated_storage", "copy_tags_to_snapshot", "iops", "multi_az", "storage_type"];

    #[test]
    fn all_go_together_and_are_waited_for() {
        let none = Settings::default();
        let (id, mut settings) = names(asked(&[], &[], &none));
        settings.sort();
        assert_eq!((id.as_str(), settings), ("carry", ALL.map(ToOwned::to_owned).to_vec()));
        let since = Timestamp::from_second(90).unwrap();
        assert_eq!(asked(&[], &[accepted("carry", 90)], &none), Next::Wait { since });
        // RDS has accepted them and does not show them: it does not take them.
        assert_eq!(asked(&[], &[accepted("carry", 30)], &none), Next::Done);
        assert_eq!(asked(&[], &[], &wanted()), Next::Done);
    }

    #[test]
    fn what_a_refusal_names_is_sent_on_its_own() {
        let none = Settings::default();
        let sends = [declined("carry", &ALL, &["multi_az"])];
        let (id, settings) = names(asked(&sends, &[], &none));
        assert_eq!((id.as_str(), settings.len()), ("carry", 4));
        let rest_is_set = Settings { multi_az: None, ..wanted() };
        let (id, settings) = names(asked(&sends, &[accepted("carry", 90)], &rest_is_set));
        assert_eq!((id.as_str(), settings), ("carry:multi_az", vec!["multi_az".to_owned()]));
        let sends = [sends[0].clone(), declined("carry:multi_az", &["multi_az"], &[])];
        assert_eq!(asked(&sends, &[accepted("carry", 90)], &rest_is_set), Next::Done);
        let refused = refused(&Sent { sends: &sends, receipts: &[], looked: Timestamp::UNIX_EPOCH }, "carry");
        assert_eq!(refused, [("multi_az".to_owned(), "no".to_owned())].into());
    }

    #[test]
    fn where_a_refusal_names_nothing_each_is_sent_on_its_own() {
        let none = Settings::default();
        let sends = [declined("carry", &ALL, &[])];
        let (id, settings) = names(asked(&sends, &[], &none));
        assert_eq!((id.as_str(), settings), ("carry:copy_tags_to_snapshot", vec!["copy_tags_to_snapshot".to_owned()]));
        // Storage only as a whole.
        let sends = [
            sends[0].clone(),
            declined(&id, &["copy_tags_to_snapshot"], &[]),
            declined("carry:multi_az", &["multi_az"], &[]),
        ];
        let (id, settings) = names(asked(&sends, &[], &none));
        assert_eq!((id.as_str(), settings.len()), ("carry:storage_type", 3));
    }

    #[test]
    fn what_a_database_serves_without_comes_after_the_swap() {
        let all = Settings { maintenance_window: Some("sun:05:00-sun:06:00".to_owned()), ..wanted() };
        assert_eq!(Phase::BeforeTheSwap.of(&all), wanted());
        let after = Phase::AfterTheSwap.of(&all);
        assert_eq!(after.fields().keys().collect::<Vec<_>>(), ["maintenance_window"]);
    }
}
