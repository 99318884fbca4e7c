//! Accounts, as they could be.

use belay_draft::inventory::{
    Alarm, Backups, Balancer, Database, Forwarder, ForwarderKind, GroupHealth, Inventory, Member, Record, Share,
    Snapshot, Source,
};
use jiff::Timestamp;

fn at(hour: u32) -> Timestamp {
    format!("2026-11-29T{hour:02}:00:00Z").parse().unwrap()
}

fn arn(rest: &str) -> String {
    format!("arn:aws:elasticloadbalancing:eu-west-1:111122223333:{rest}")
}

pub(crate) fn empty() -> Inventory {
    Inventory {
        source: Source::Account { at: at(17) },
        account: Some("111122223333".to_owned()),
        region: Some("eu-west-1".to_owned()),
        ..Inventory::default()
    }
}

pub(crate) fn record(name: &str, kind: &str, members: &[(&str, u32, Option<&str>)]) -> Record {
    let member = |(set_identifier, weight, leads_to): &(&str, u32, Option<&str>)| Member {
        set_identifier: (*set_identifier).to_owned(),
        weight: *weight,
        leads_to: leads_to.map(str::to_owned),
        health_check: None,
    };
    Record {
        zone: "Z0123456789ABC".to_owned(),
        zone_name: Some("example.com".to_owned()),
        private: false,
        name: name.to_owned(),
        kind: kind.to_owned(),
        members: members.iter().map(member).collect(),
    }
}

pub(crate) fn balancer(name: &str) -> Balancer {
    Balancer {
        arn: arn(&format!("loadbalancer/app/{name}/50dc6c495c0c9188")),
        name: name.to_owned(),
        dns_name: format!("{name}-1234567890.eu-west-1.elb.amazonaws.com"),
    }
}

pub(crate) fn group(name: &str) -> String {
    arn(&format!("targetgroup/{name}/73e2d6bc24d8a067"))
}

pub(crate) fn listener(balancer: &str, groups: &[(&str, u32)]) -> Forwarder {
    Forwarder {
        kind: ForwarderKind::Listener,
        arn: arn(&format!("listener/app/{balancer}/50dc6c495c0c9188/f2f7dc8efc522ab2")),
        balancer: arn(&format!("loadbalancer/app/{balancer}/50dc6c495c0c9188")),
        port: Some(443),
        protocol: Some("HTTPS".to_owned()),
        groups: groups.iter().map(|(name, weight)| Share { arn: group(name), weight: *weight }).collect(),
        sticky_s: None,
    }
}

pub(crate) fn rule(balancer: &str, groups: &[(&str, u32)]) -> Forwarder {
    Forwarder {
        kind: ForwarderKind::Rule { priority: Some("10".to_owned()) },
        arn: arn(&format!("listener-rule/app/{balancer}/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee")),
        ..listener(balancer, groups)
    }
}

pub(crate) fn alarm(name: &str, dimensions: &[(&str, &str)]) -> Alarm {
    Alarm {
        name: name.to_owned(),
        arn: format!("arn:aws:cloudwatch:eu-west-1:111122223333:alarm:{name}"),
        state: Some("OK".to_owned()),
        metric: Some("AWS/ApplicationELB HTTPCode_Target_5XX_Count".to_owned()),
        dimensions: dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        looks_at_s: Some(60),
        rule: None,
    }
}

/// A shop whose record leads to one load balancer, which forwards by weight.
pub(crate) fn shop() -> Inventory {
    let lb = balancer("shop");
    let leads = lb.dns_name.clone();
    let forwarder = listener("shop", &[("shop-blue", 100), ("shop-green", 0)]);
    let health = [("shop-blue", 2, 2), ("shop-green", 0, 0)];
    Inventory {
        records: vec![record(
            "www.example.com",
            "A",
            &[("blue", 100, Some(&leads)), ("green", 0, Some("green.example.net"))],
        )],
        balancers: vec![lb],
        forwarders: vec![forwarder],
        health: health.map(|(name, healthy, targets)| (group(name), GroupHealth { healthy, targets })).into(),
        alarms: vec![alarm("shop-5xx", &[("LoadBalancer", "app/shop/50dc6c495c0c9188")])],
        ..empty()
    }
}

pub(crate) fn database(name: &str) -> Database {
    Database {
        name: name.to_owned(),
        engine: "postgres".to_owned(),
        status: Some("available".to_owned()),
        backups: Backups {
            point_in_time: Some(true),
            earliest_restorable: Some(at(1)),
            latest_restorable: Some(at(16)),
            snapshot: Some(Snapshot { name: format!("{name}-before"), taken: Some(at(12)) }),
            ..Backups::default()
        },
        ..Database::default()
    }
}

/// Everything that there is, of some more than one.
pub(crate) fn mall() -> Inventory {
    let mut mall = shop();
    let leads = mall.balancers[0].dns_name.clone();
    mall.records.push(record(
        "www.example.com",
        "AAAA",
        &[("blue", 1, Some(&format!("dualstack.{leads}"))), ("green", 0, None)],
    ));
    let sticky = Forwarder { sticky_s: Some(3_600), ..rule("shop", &[("api-blue", 1), ("api-green", 0)]) };
    mall.forwarders.push(sticky);
    mall.alarms.push(Alarm {
        looks_at_s: Some(900),
        metric: Some("AWS/RDS DatabaseConnections".to_owned()),
        ..alarm("orders-connections", &[("DBInstanceIdentifier", "orders")])
    });
    mall.alarms.push(Alarm {
        metric: None,
        looks_at_s: None,
        rule: Some("ALARM(\"shop-5xx\") OR ALARM(orders-connections)".to_owned()),
        ..alarm("shop-hurt", &[])
    });
    mall.databases = vec![database("orders")];
    mall
}

/// A cluster that could be wound back, and is part of a blue/green deployment.
pub(crate) fn cluster() -> Database {
    let backups = Backups {
        backtrack_window_s: Some(86_400),
        other_side_of: vec!["stock-upgrade".to_owned()],
        ..database("stock").backups
    };
    Database { cluster: true, engine: "aurora-mysql".to_owned(), backups, ..database("stock") }
}
