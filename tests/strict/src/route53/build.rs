//! Zones, records and health checks that a world begins with.

use serde_json::{Value, json};

use super::{CHECKERS, Check, HostedZone};
use crate::world::{Thing, World};

/// A hosted zone: `Zone::of("example.com", "Z0123456789ABC").with(record)`.
#[derive(Debug, Clone)]
pub struct Zone {
    id: String,
    name: String,
    private: bool,
    sets: Vec<Value>,
}

impl Zone {
    pub fn of(name: &str, id: &str) -> Self {
        Self { id: id.to_owned(), name: format!("{name}."), private: false, sets: Vec::new() }
    }

    #[must_use]
    pub fn private(mut self) -> Self {
        self.private = true;
        self
    }

    #[must_use]
    pub fn with(mut self, record: Record) -> Self {
        self.sets.extend(record.sets);
        self
    }
}

impl Thing for Zone {
    fn enter(self, world: &mut World) {
        let Self { id, name, private, sets } = self;
        world.route53.zones.push(HostedZone { id, name, private, sets, busy_until: None });
    }
}

/// A record with its sets: `Record::weighted("shop.example.com", &[("blue", 100), ("green", 0)])`.
#[derive(Debug, Clone)]
pub struct Record {
    sets: Vec<Value>,
}

impl Record {
    /// Of type A, with a TTL of 60 s.
    pub fn weighted(name: &str, weights: &[(&str, u32)]) -> Self {
        let sets = weights.iter().enumerate().map(|(number, (id, weight))| {
            json!({
                "Name": format!("{name}."), "Type": "A", "SetIdentifier": id, "Weight": weight.to_string(), "TTL": "60",
                "ResourceRecords": { "ResourceRecord": [{ "Value": format!("192.0.2.{}", number + 1) }] },
            })
        });
        Self { sets: sets.collect() }
    }

    pub fn simple(name: &str, kind: &str, value: &str) -> Self {
        let set = json!({
            "Name": format!("{name}."), "Type": kind, "TTL": "60",
            "ResourceRecords": { "ResourceRecord": [{ "Value": value }] },
        });
        Self { sets: vec![set] }
    }

    /// Another attribute of one set: `HealthCheckId`, `AliasTarget`.
    #[must_use]
    pub fn having(mut self, id: &str, attribute: &str, value: impl Into<Value>) -> Self {
        let set = self.sets.iter_mut().find(|set| set["SetIdentifier"] == id);
        set.unwrap_or_else(|| panic!("the record has no set {id}"))[attribute] = value.into();
        self
    }

    /// All sets are of another type.
    #[must_use]
    pub fn of_type(mut self, kind: &str) -> Self {
        self.sets.iter_mut().for_each(|set| set["Type"] = json!(kind));
        self
    }
}

/// A health check that all checkers reach: `HealthCheck::https("check-blue")`.
#[derive(Debug, Clone)]
pub struct HealthCheck {
    id: String,
    config: Value,
    healthy: usize,
}

impl HealthCheck {
    pub fn https(id: &str) -> Self {
        Self::of_type(id, "HTTPS")
    }

    /// `CALCULATED`, `CLOUDWATCH_METRIC` and `RECOVERY_CONTROL` have no checkers.
    pub fn of_type(id: &str, kind: &str) -> Self {
        Self { id: id.to_owned(), config: json!({ "Type": kind }), healthy: CHECKERS }
    }

    /// So many of sixteen checkers reach the endpoint.
    #[must_use]
    pub fn reached_by(mut self, checkers: usize) -> Self {
        self.healthy = checkers;
        self
    }

    #[must_use]
    pub fn having(mut self, attribute: &str, value: impl Into<Value>) -> Self {
        self.config[attribute] = value.into();
        self
    }
}

impl Thing for HealthCheck {
    fn enter(self, world: &mut World) {
        let Self { id, config, healthy } = self;
        world.route53.checks.push(Check { id, config, healthy });
    }
}
