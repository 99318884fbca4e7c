//! A record set as Route 53 has it, complete enough to write it back.

use aws_sdk_route53::{error::BuildError, types};
use serde::{Deserialize, Serialize};

/// One member of a weighted record. An UPSERT replaces the whole record set, so everything is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordSet {
    /// As Route 53 writes it, octal escapes and all.
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) set_identifier: String,
    /// 0-255
    pub(crate) weight: u32,
    /// Seconds. An alias has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) values: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) alias: Option<Alias>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) health_check: Option<String>,
    /// Set where a traffic policy owns the record: then only the policy may change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) traffic_policy_instance: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Alias {
    pub(crate) zone: String,
    pub(crate) dns_name: String,
    pub(crate) evaluate_target_health: bool,
}

impl RecordSet {
    /// None for a record set that is not weighted.
    pub(crate) fn from_aws(set: types::ResourceRecordSet) -> Option<Self> {
        Some(Self {
            weight: u32::try_from(set.weight?).ok()?,
            set_identifier: set.set_identifier?,
            name: set.name,
            kind: set.r#type.as_str().to_owned(),
            ttl: set.ttl,
            values: set.resource_records.unwrap_or_default().into_iter().map(|record| record.value).collect(),
            alias: set.alias_target.map(|alias| Alias {
                zone: alias.hosted_zone_id,
                dns_name: alias.dns_name,
                evaluate_target_health: alias.evaluate_target_health,
            }),
            health_check: set.health_check_id,
            traffic_policy_instance: set.traffic_policy_instance_id,
        })
    }

    pub(crate) fn into_aws(self) -> Result<types::ResourceRecordSet, BuildError> {
        let values = self.values.into_iter().map(|value| types::ResourceRecord::builder().value(value).build());
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let alias = self.alias.map(|alias| {
            types::AliasTarget::builder()
                .hosted_zone_id(alias.zone)
                .dns_name(alias.dns_name)
                .evaluate_target_health(alias.evaluate_target_health)
                .build()
        });
        types::ResourceRecordSet::builder()
            .name(self.name)
            .r#type(types::RrType::from(self.kind.as_str()))
            .set_identifier(self.set_identifier)
            .weight(i64::from(self.weight))
            .set_ttl(self.ttl)
            .set_resource_records((!values.is_empty()).then_some(values))
            .set_alias_target(alias.transpose()?)
            .set_health_check_id(self.health_check)
            .build()
    }
}

/// The one way to write a name: Route 53 answers with a trailing dot, in lower case, and with `*` and all else that is
/// not a letter, a digit, `-`, `_` or `.` as an octal escape (`\052`).
pub(crate) fn normal_name(name: &str) -> String {
    let mut normal = String::new();
    let mut rest = name;
    while let Some(next) = rest.chars().next() {
        let octal = rest.get(1..4).filter(|digits| next == '\\' && digits.bytes().all(|digit| digit.is_ascii_digit()));
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if byte.is_ascii() => {
                normal.push(char::from(byte).to_ascii_lowercase());
                rest = &rest[4..];
            }
            _ => {
                normal.push(next.to_ascii_lowercase());
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    normal.trim_end_matches('.').to_owned()
}

/// The normal name as Route 53 and IAM write it: with escapes.
pub(crate) fn escaped(name: &str) -> String {
    let plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.' | '\\');
    let each = normal_name(name)
        .chars()
        .map(|one| if plain(one) { one.to_string() } else { format!("\\{:03o}", u32::from(one)) })
        .collect::<Vec<_>>();
    each.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        let cases = [
            ("WWW.Example.com.", "www.example.com"),
            ("\\052.example.com.", "*.example.com"),
            ("*.example.com", "*.example.com"),
            ("a\\137b.example.com", "a_b.example.com"),
            ("a\\9.example.com", "a\\9.example.com"),
            ("\\303\\244.example.com", "\\303\\244.example.com"),
            ("ä\\05", "ä\\05"),
        ];
        for (name, normal) in cases {
            assert_eq!(normal_name(name), normal, "{name}");
        }
    }

    #[test]
    fn names_are_escaped_as_route_53_does() {
        let cases = [
            ("WWW.Example.com.", "www.example.com"),
            ("*.example.com", "\\052.example.com"),
            ("a\\100b.example.com", "a\\100b.example.com"),
            ("\\303\\244.example.com", "\\303\\244.example.com"),
        ];
        for (name, expected) in cases {
            assert_eq!(escaped(name), expected);
        }
    }

    #[test]
    fn a_record_set_survives_the_way_there_and_back() {
        let plain = RecordSet {
            name: "www.example.com.".to_owned(),
            kind: "A".to_owned(),
            set_identifier: "blue".to_owned(),
            weight: 0,
            ttl: Some(5),
            values: vec!["192.0.2.1".to_owned(), "192.0.2.2".to_owned()],
            alias: None,
            health_check: Some("hc-1".to_owned()),
            traffic_policy_instance: None,
        };
        let alias = RecordSet {
            ttl: None,
            values: Vec::new(),
            alias: Some(Alias {
                zone: "Z35SXDOTRQ7X7K".to_owned(),
                dns_name: "lb.example.com.".to_owned(),
                evaluate_target_health: true,
            }),
            health_check: None,
            ..plain.clone()
        };
        for record in [plain, alias] {
            assert_eq!(RecordSet::from_aws(record.clone().into_aws().unwrap()), Some(record));
        }
    }

    #[test]
    fn a_record_without_a_weight_is_not_a_member() {
        let simple = types::ResourceRecordSet::builder().name("a.").r#type(types::RrType::A).build().unwrap();
        assert_eq!(RecordSet::from_aws(simple), None);
    }
}
