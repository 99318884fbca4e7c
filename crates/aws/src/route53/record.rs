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

#[cfg(test)]
mod tests {
    use super::*;

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
