//! Which settings a refusal is about, and what is left when a call goes without them. Pure.
//!
//! A refused setting is not to take everything with it: a restore goes on without it, and the restored database is read back.

use std::collections::{BTreeMap, BTreeSet};

use belay_aws_catalogue::rds::{cluster_settings, instance_settings};
use belay_core::{change::SentOutcome, input::ErrorClass};
use belay_ports::ApplyError;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{carry::names_in, fields, refine::bare, sent::Sent};

/// Refusals that are about what a call sets: without that, it may pass. RDS names what it means in the message, if at all.
const OF_SETTINGS: [&str; 14] = [
    "AuthorizationNotFound",
    "BackupPolicyNotFound",
    "CertificateNotFound",
    "DBClusterParameterGroupNotFound",
    "DBParameterGroupNotFound",
    "DBSecurityGroupNotFound",
    "DomainNotFound",
    "InvalidParameterCombination",
    "InvalidParameterValue",
    "NetworkTypeNotSupported",
    "OptionGroupNotFound",
    "ProvisionedIopsNotAvailableInAZ",
    "StorageTypeNotAvailable",
    "StorageTypeNotSupported",
];

/// Refusals that may be about one setting, or about what no call can do without (the key of the data): they leave another way where
/// that setting was sent, and after it nothing.
const OF_ONE: [(&str, &str); 3] = [
    ("DBSubnetGroupDoesNotCoverEnoughAZs", "multi_az"),
    ("InvalidVPCNetworkState", "availability_zone"),
    ("KMSKeyNotAccessible", "performance_insights_kms_key"),
];

/// The classes of an instance, and of the instances of a Multi-AZ DB cluster.
const CLASSES: [&str; 2] = ["db_instance_class", "db_cluster_instance_class"];

/// How a class that is refused is got round.
const OTHER_CLASS: &str = "if the class is retired, give the database that is replaced another (`aws rds modify-db-instance \
                           --db-instance-class`, or `modify-db-cluster --db-cluster-instance-class`), then retry: a class that is \
                           refused gives way to that of the present database";

/// What a database is not restored without, unless a refusal names it: whoever reaches it, reaches it by these.
const LEAST: [&str; 11] = [
    "db_instance_class",
    "db_subnet_group",
    "vpc_security_groups",
    "port",
    "db_parameter_group",
    "cluster_parameter_group",
    "publicly_accessible",
    "network_type",
    "engine_mode",
    "serverless_v2_scaling",
    "db_cluster_instance_class",
];

/// Words of RDS's messages that are no parameter's name, as they are met in them; the first that fits counts.
const WORDS: [(&str, &str); 21] = [
    ("max storage size", "max_allocated_storage"),
    ("maximum storage threshold", "max_allocated_storage"),
    ("storage size", "allocated_storage"),
    ("allocated storage", "allocated_storage"),
    ("storage type", "storage_type"),
    ("storage throughput", "storage_throughput"),
    ("provisioned iops", "iops"),
    ("instance class", "db_instance_class"),
    ("instance class", "db_cluster_instance_class"),
    ("security group", "vpc_security_groups"),
    ("option group", "option_group"),
    ("dbparametergroup", "db_parameter_group"),
    ("dbclusterparametergroup", "cluster_parameter_group"),
    ("mirroring", "multi_az"),
    ("multi-az", "multi_az"),
    ("enhanced monitoring", "monitoring_interval_s"),
    ("monitoringrolearn", "monitoring_role"),
    ("performance insights", "performance_insights"),
    ("database insights", "database_insights_mode"),
    ("availability zone", "availability_zone"),
    ("seconds until auto pause", "serverless_v2_scaling"),
];

/// A refusal for good of a call that sets something becomes one to which the step may have another way.
pub(super) fn decline<T: Serialize>(error: ApplyError, code: &str, message: &str, settings: &T) -> ApplyError {
    let sent = fields::fields(settings);
    let code = bare(code);
    match error {
        ApplyError::NoEffect { why, class: ErrorClass::Permanent }
            if OF_SETTINGS.contains(&code) && !sent.is_empty() =>
        {
            let named = named(code, message, &sent);
            let elements = elements(message, &named, &sent);
            let of_class = named.iter().any(|name| CLASSES.contains(&name.as_str()));
            let why = if of_class { format!("{why} ({OTHER_CLASS})") } else { why };
            let body = json!({ "settings": sent.keys().collect::<Vec<_>>(), "named": named, "elements": elements });
            ApplyError::Declined { why, body }
        }
        ApplyError::NoEffect { why, class: ErrorClass::Permanent }
            if of_one(code).is_some_and(|name| sent.contains_key(name)) =>
        {
            let body = json!({ "settings": sent.keys().collect::<Vec<_>>(), "named": [of_one(code)] });
            ApplyError::Declined { why, body }
        }
        // One zone has none, another may: after that it is a matter of time.
        ApplyError::NoEffect { why, .. }
            if code == "InsufficientDBInstanceCapacity" && sent.contains_key("availability_zone") =>
        {
            let body = json!({ "settings": sent.keys().collect::<Vec<_>>(), "named": ["availability_zone"] });
            ApplyError::Declined { why, body }
        }
        error => error,
    }
}

fn of_one(code: &str) -> Option<&'static str> {
    OF_ONE.iter().find(|(of, _)| *of == code).map(|(_, name)| *name)
}

/// The settings of a call that its refusal is about, as far as code and message tell.
fn named(code: &str, message: &str, sent: &Map<String, Value>) -> Vec<String> {
    let by_code = match code {
        "CertificateNotFound" => Some("ca_certificate"),
        "DBClusterParameterGroupNotFound" => Some("cluster_parameter_group"),
        "DBParameterGroupNotFound" => Some("db_parameter_group"),
        "DBSecurityGroupNotFound" | "AuthorizationNotFound" => Some("vpc_security_groups"),
        "DomainNotFound" => Some("domain"),
        "NetworkTypeNotSupported" => Some("network_type"),
        "OptionGroupNotFound" => Some("option_group"),
        "ProvisionedIopsNotAvailableInAZ" => Some("iops"),
        "StorageTypeNotAvailable" | "StorageTypeNotSupported" => Some("storage_type"),
        _ => None,
    };
    if let Some(name) = by_code.filter(|name| sent.contains_key(*name)) {
        return vec![name.to_owned()];
    }
    let message = message.to_ascii_lowercase();
    let tokens: BTreeSet<&str> = message.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let is_named = |parameter: &str| tokens.contains(parameter.to_ascii_lowercase().as_str());
    let by_parameter = sent.keys().filter(|name| {
        instance_settings::parameter(name).into_iter().chain(cluster_settings::parameter(name)).any(is_named)
    });
    let named: Vec<String> = by_parameter.cloned().collect();
    if !named.is_empty() {
        return named;
    }
    let word = WORDS.iter().find(|(word, name)| message.contains(word) && sent.contains_key(*name));
    word.map(|(_, name)| (*name).to_owned()).into_iter().collect()
}

/// Of lists that a refusal is about: the elements that it names, where it does not name all of them. One group that is gone must not
/// take the others with it.
fn elements(message: &str, named: &[String], sent: &Map<String, Value>) -> Map<String, Value> {
    let words: BTreeSet<&str> = message
        .split(|c: char| !(c.is_ascii_alphanumeric() || "-_.:/".contains(c)))
        .map(|w| w.trim_matches('.'))
        .collect();
    let in_message = |name: &String| {
        let all = names_in(&sent[name]);
        let found: Vec<String> = all.iter().filter(|element| words.contains(element.as_str())).cloned().collect();
        (!found.is_empty() && found.len() < all.len()).then(|| (name.clone(), json!(found)))
    };
    named.iter().filter(|name| sent.contains_key(*name)).filter_map(in_message).collect()
}

/// What a call goes without, after what became of the ones before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Without {
    /// By setting, why.
    refused: BTreeMap<String, String>,
    /// By setting, elements of its list that it goes without, each with the reason.
    elements: BTreeMap<String, BTreeMap<String, String>>,
    /// How often the class was named.
    classes: usize,
}

impl Without {
    pub(super) fn of(sent: &Sent<'_>, change: &str) -> Self {
        let mut without = Self::default();
        for one in sent.sends.iter().filter(|one| one.change == change) {
            let SentOutcome::Declined { why, body } = &one.outcome else { continue };
            let (settings, named) = (names_in(&body["settings"]), names_in(&body["named"]));
            let elements = body["elements"].as_object().filter(|elements| !elements.is_empty());
            for (name, found) in elements.into_iter().flatten() {
                let list = without.elements.entry(name.clone()).or_default();
                list.extend(names_in(found).into_iter().map(|element| (element, why.clone())));
            }
            if elements.is_some() {
                continue;
            }
            without.classes += usize::from(named.iter().any(|name| CLASSES.contains(&name.as_str())));
            let named: BTreeSet<&str> = named.iter().map(|name| fields::key(name)).collect();
            let goes = |name: &String| match named.is_empty() {
                true => !LEAST.contains(&name.as_str()),
                false => named.contains(fields::key(name)),
            };
            without.refused.extend(settings.into_iter().filter(goes).map(|name| (name, why.clone())));
        }
        without
    }

    /// The settings that it is sent with.
    pub(super) fn applied_to<T: Serialize + DeserializeOwned>(&self, settings: &T) -> T {
        let mut left = fields::fields(&fields::only(settings, |name| !self.refused.contains_key(name)));
        for (name, elements) in &self.elements {
            if let Some(list) = left.get_mut(name).and_then(Value::as_array_mut) {
                list.retain(|element| !element.as_str().is_some_and(|element| elements.contains_key(element)));
            }
        }
        // A list without elements would say that there is to be none.
        left.retain(|name, value| !(self.elements.contains_key(name) && *value == json!([])));
        T::deserialize(Value::Object(left)).expect("fields of settings are settings")
    }

    /// The class to ask for: as it was, or as the present database has it once that was refused. None: what RDS chooses.
    pub(super) fn class(&self, wanted: Option<&String>, present: Option<&String>) -> Option<String> {
        match self.classes {
            0 => wanted.cloned(),
            1 => present.filter(|present| Some(*present) != wanted).cloned(),
            _ => None,
        }
    }

    /// By setting, why it is not as it was.
    pub(super) fn reasons(self) -> BTreeMap<String, String> {
        let mut reasons = self.refused;
        for (name, elements) in self.elements {
            if let Some(why) = elements.into_values().next_back() {
                reasons.entry(name).or_insert(why);
            }
        }
        reasons
    }

    /// For a title; empty where nothing is left out.
    pub(super) fn words(&self) -> String {
        let of_lists = self
            .elements
            .iter()
            .flat_map(|(name, elements)| elements.keys().map(move |element| format!("{element} of {name}")));
        let names: Vec<String> = self.refused.keys().cloned().chain(of_lists).collect();
        if names.is_empty() { String::new() } else { format!("; without {}, which RDS refused", names.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use belay_core::change::Sent as Send;
    use jiff::Timestamp;

    use super::*;
    use crate::rds::Settings;

    fn settings() -> Settings {
        Settings {
            db_instance_class: Some("db.r6g.large".to_owned()),
            vpc_security_groups: Some(vec!["sg-1".to_owned()]),
            availability_zone: Some("eu-west-1a".to_owned()),
            ca_certificate: Some("rds-ca-2019".to_owned()),
            multi_az: Some(true),
            allocated_storage: Some(105),
            max_allocated_storage: Some(105),
            storage_type: Some("gp3".to_owned()),
            ..Settings::default()
        }
    }

    fn refusal(code: &str, message: &str, class: ErrorClass) -> ApplyError {
        decline(ApplyError::NoEffect { why: format!("{code}: {message}"), class }, code, message, &settings())
    }

    fn names(code: &str, message: &str) -> Vec<String> {
        match refusal(code, message, ErrorClass::Permanent) {
            ApplyError::Declined { body, .. } => names_in(&body["named"]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_refusal_tells_which_setting_it_is_about() {
        for (code, message, expected) in [
            ("CertificateNotFound", "Certificate not found: rds-ca-2019", "ca_certificate"),
            ("InvalidParameterCombination", "AllocatedStorage can't be specified", "allocated_storage"),
            (
                "InvalidParameterCombination",
                "Invalid max storage size for engine name postgres",
                "max_allocated_storage",
            ),
            ("InvalidParameterCombination", "Invalid storage size 105: at least 10%", "allocated_storage"),
            ("InvalidParameterValue", "Invalid DB Instance class: db.m3.large", "db_instance_class"),
            ("InvalidParameterValue", "Invalid security group , groupId= sg-1, groupName=.", "vpc_security_groups"),
            ("InvalidParameterCombination", "Mirroring cannot be applied", "multi_az"),
        ] {
            assert_eq!(names(code, message), [expected], "{message}");
        }
        assert!(names("InvalidParameterCombination", "no").is_empty());
    }

    #[test]
    fn one_element_that_is_gone_is_left_out_alone() {
        let groups = |groups: &[&str]| Settings {
            vpc_security_groups: Some(groups.iter().map(|group| (*group).to_owned()).collect()),
            ..settings()
        };
        let sent = groups(&["sg-1", "sg-12", "sg-3"]);
        let declined = |message: &str| {
            let error = ApplyError::NoEffect { why: message.to_owned(), class: ErrorClass::Permanent };
            let ApplyError::Declined { why, body } = decline(error, "InvalidParameterValue", message, &sent) else {
                panic!("declined")
            };
            let outcome = SentOutcome::Declined { why, body };
            Send { change: "restore".to_owned(), at: Timestamp::UNIX_EPOCH, outcome }
        };
        let without = |messages: &[&str]| {
            let sends: Vec<Send> = messages.iter().map(|message| declined(message)).collect();
            Without::of(&Sent { sends: &sends, receipts: &[], looked: Timestamp::UNIX_EPOCH }, "restore")
        };
        let first = "Invalid security group , groupId= sg-12, groupName=.";
        assert_eq!(without(&[first]).applied_to(&sent), groups(&["sg-1", "sg-3"]));
        assert_eq!(without(&[first]).words(), "; without sg-12 of vpc_security_groups, which RDS refused");
        assert_eq!(without(&[first]).reasons()["vpc_security_groups"], first);
        let both = without(&[first, "Invalid security group , groupId= sg-1, groupName=."]);
        assert_eq!(both.applied_to(&sent), groups(&["sg-3"]));
        let all = without(&["Invalid security group , groupId= sg-1 sg-12 sg-3"]);
        assert_eq!(all.applied_to(&sent).vpc_security_groups, None);
    }

    #[test]
    fn what_is_not_about_settings_stays_a_refusal() {
        for code in ["DBSnapshotNotFound", "AccessDenied", "InstanceQuotaExceeded", "DBSubnetGroupNotFoundFault"] {
            let error = refusal(code, "no", ErrorClass::Permanent);
            assert!(matches!(error, ApplyError::NoEffect { class: ErrorClass::Permanent, .. }), "{code}");
        }
        let busy = refusal("InvalidDBInstanceState", "busy", ErrorClass::Transient);
        assert!(matches!(busy, ApplyError::NoEffect { class: ErrorClass::Transient, .. }));
    }

    /// The same code may be about the key of the data, or about a zone that nobody has asked for.
    #[test]
    fn a_refusal_that_may_be_of_one_setting_goes_without_that_alone() {
        for (code, name, given) in [
            (
                "KMSKeyNotAccessibleFault",
                "performance_insights_kms_key",
                Settings { performance_insights_kms_key: Some("arn:key".to_owned()), ..settings() },
            ),
            ("DBSubnetGroupDoesNotCoverEnoughAZs", "multi_az", settings()),
            ("InvalidVPCNetworkStateFault", "availability_zone", settings()),
        ] {
            let refused = || ApplyError::NoEffect { why: code.to_owned(), class: ErrorClass::Permanent };
            let ApplyError::Declined { body, .. } = decline(refused(), code, "no", &given) else { panic!("{code}") };
            assert_eq!(body["named"], json!([name]));
            let left = fields::only(&given, |setting| setting != name);
            assert_eq!(decline(refused(), code, "no", &left), refused(), "{code}");
        }
    }

    #[test]
    fn a_class_that_is_refused_gives_way_to_the_present_one() {
        let declined = || {
            let body = json!({ "settings": ["db_instance_class", "port"], "named": ["db_instance_class"] });
            Send {
                change: "restore".to_owned(),
                at: Timestamp::UNIX_EPOCH,
                outcome: SentOutcome::Declined { why: "no".to_owned(), body },
            }
        };
        let class = |sends: &[Send], present: &str| {
            let sent = Sent { sends, receipts: &[], looked: Timestamp::UNIX_EPOCH };
            Without::of(&sent, "restore").class(Some(&"db.m3".to_owned()), Some(&present.to_owned()))
        };
        assert_eq!(class(&[], "db.m7").as_deref(), Some("db.m3"));
        assert_eq!(class(&[declined()], "db.m7").as_deref(), Some("db.m7"));
        assert_eq!((class(&[declined()], "db.m3"), class(&[declined(), declined()], "db.m7")), (None, None));
        let ApplyError::Declined { why, .. } =
            refusal("InvalidParameterValue", "Invalid DB Instance class: db.m3", ErrorClass::Permanent)
        else {
            panic!("declined")
        };
        assert!(why.contains("modify-db-instance") && why.contains("then retry"), "{why}");
    }

    #[test]
    fn a_zone_without_capacity_is_left_out_once() {
        let error = refusal("InsufficientDBInstanceCapacity", "none in eu-west-1a", ErrorClass::Transient);
        let ApplyError::Declined { body, .. } = error else { panic!("{error:?}") };
        assert_eq!(body["named"], json!(["availability_zone"]));
        let elsewhere = Settings { availability_zone: None, ..settings() };
        let error = ApplyError::NoEffect { why: String::new(), class: ErrorClass::Transient };
        let error = decline(error, "InsufficientDBInstanceCapacity", "", &elsewhere);
        assert!(matches!(error, ApplyError::NoEffect { .. }));
    }

    #[test]
    fn a_call_goes_without_what_was_refused_and_then_with_the_least() {
        let declined = |named: &[&str]| {
            let body = json!({ "settings": fields::fields(&settings()).keys().collect::<Vec<_>>(), "named": named });
            let outcome = SentOutcome::Declined { why: "no".to_owned(), body };
            Send { change: "restore".to_owned(), at: Timestamp::UNIX_EPOCH, outcome }
        };
        let without = |sends: &[Send]| {
            Without::of(&Sent { sends, receipts: &[], looked: Timestamp::UNIX_EPOCH }, "restore")
                .applied_to(&settings())
        };
        assert_eq!(without(&[]), settings());
        assert_eq!(without(&[declined(&["ca_certificate"])]), Settings { ca_certificate: None, ..settings() });
        let no_storage = Settings { storage_type: None, allocated_storage: None, ..settings() };
        assert_eq!(without(&[declined(&["allocated_storage"])]), no_storage);
        let least = without(&[declined(&[])]);
        assert_eq!(least.fields().keys().collect::<BTreeSet<_>>().len(), 2, "{least:?}");
        assert!(least.db_instance_class.is_some() && least.vpc_security_groups.is_some());
    }
}
