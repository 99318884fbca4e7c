//! What resources of Terraform are in an inventory.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::{place_of, state::Resource};
use crate::inventory::{
    Alarm, Backups, Balancer, Database, Forwarder, ForwarderKind, Inventory, Member, Record, Share, Snapshot, dns_name,
};

#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) inventory: Inventory,
    /// Accounts and regions of what has an ARN, and acts in one.
    pub(super) places: BTreeSet<(String, String)>,
    /// The account that Terraform has asked for as itself.
    pub(super) caller: Option<String>,
    pub(super) own_region: Option<String>,
    /// By zone, name and type: where in the inventory.
    records: BTreeMap<(String, String, String), usize>,
    /// By id.
    zones: BTreeMap<String, (String, bool)>,
    /// By the ARN of the listener: port and protocol.
    listeners: BTreeMap<String, (Option<u16>, Option<String>)>,
    /// Members by their cluster.
    members: Vec<(String, String)>,
    snapshots: Vec<(bool, String, Snapshot)>,
    /// The ARNs of the target groups in which Auto Scaling or ECS registers targets.
    registered_for: BTreeSet<String>,
}

fn text(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}

fn unsigned(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

impl Collected {
    pub(super) fn take(&mut self, resource: &Resource) {
        let values = &resource.values;
        let whole = match resource.kind.as_str() {
            "aws_route53_record" => self.record(values),
            "aws_route53_zone" => self.zone(values),
            "aws_lb" | "aws_alb" => self.balancer(values),
            "aws_lb_listener" | "aws_alb_listener" => self.listener(values),
            "aws_lb_listener_rule" | "aws_alb_listener_rule" => self.rule(values),
            "aws_lb_target_group_attachment" | "aws_alb_target_group_attachment" => self.target(values),
            "aws_autoscaling_group" | "aws_autoscaling_attachment" | "aws_ecs_service" => self.registers(values),
            "aws_db_instance" => self.database(values, "identifier", false),
            "aws_rds_cluster" => self.database(values, "cluster_identifier", true),
            "aws_rds_cluster_instance" => self.member(values),
            "aws_db_snapshot" => self.snapshot(values, "db_instance_identifier", "db_snapshot_identifier", false),
            "aws_db_cluster_snapshot" => {
                self.snapshot(values, "db_cluster_identifier", "db_cluster_snapshot_identifier", true)
            }
            "aws_cloudwatch_metric_alarm" => self.metric_alarm(values),
            "aws_cloudwatch_composite_alarm" => self.composite_alarm(values),
            "aws_caller_identity" => {
                self.caller = text(values, "account_id");
                Some(())
            }
            "aws_region" => {
                self.own_region = text(values, "region").or_else(|| text(values, "name"));
                Some(())
            }
            _ => Some(()),
        };
        if whole.is_none() {
            self.inventory.notes.push(format!(
                "{} is not looked at: the state does not show by what AWS knows it, or marks it as sensitive",
                resource.address
            ));
        }
    }

    /// With what is known only from other resources.
    pub(super) fn finished(mut self) -> Self {
        for record in &mut self.inventory.records {
            if let Some((name, private)) = self.zones.get(&record.zone) {
                (record.zone_name, record.private) = (Some(name.clone()), *private);
            }
            record.members.sort_by(|a, b| a.set_identifier.cmp(&b.set_identifier));
        }
        for forwarder in &mut self.inventory.forwarders {
            // `...:listener-rule/app/NAME/ID/ID/ID` is of `...:listener/app/NAME/ID/ID`.
            let listener = forwarder.arn.replace(":listener-rule/", ":listener/");
            let listener = listener.rsplit_once('/').map_or("", |(listener, _)| listener);
            if let Some((port, protocol)) = self.listeners.get(listener) {
                (forwarder.port, forwarder.protocol) = (*port, protocol.clone());
            }
        }
        for (group, targets) in &mut self.inventory.targets {
            targets.by_hand = !self.registered_for.contains(group);
        }
        for database in &mut self.inventory.databases {
            let own = self.members.iter().filter(|(cluster, _)| database.cluster && *cluster == database.name);
            database.members.extend(own.map(|(_, member)| member.clone()));
            let own = self.snapshots.iter();
            let own = own.filter(|(cluster, name, _)| *cluster == database.cluster && *name == database.name);
            let newest = own.max_by_key(|(_, _, snapshot)| snapshot.taken);
            database.backups.snapshot = newest.map(|(_, _, snapshot)| snapshot.clone());
        }
        self
    }

    fn place(&mut self, arn: &str) {
        self.places.extend(place_of(arn));
    }

    /// None where a weighted record lacks what names it; others are passed over.
    fn record(&mut self, values: &Value) -> Option<()> {
        let Some(policy) = list(values, "weighted_routing_policy").next() else { return Some(()) };
        let weight = unsigned(&policy["weight"]).and_then(|weight| u32::try_from(weight).ok())?;
        let (zone, kind) = (text(values, "zone_id")?, text(values, "type")?);
        let name = dns_name(&text(values, "fqdn").or_else(|| text(values, "name"))?);
        let alias = list(values, "alias").next().and_then(|alias| text(alias, "name"));
        let cname = list(values, "records").next().and_then(Value::as_str).filter(|_| kind == "CNAME");
        let member = Member {
            set_identifier: text(values, "set_identifier")?,
            weight,
            leads_to: alias.as_deref().or(cname).map(dns_name),
            health_check: text(values, "health_check_id"),
        };
        let records = &mut self.inventory.records;
        let index = *self.records.entry((zone.clone(), name.clone(), kind.clone())).or_insert_with(|| {
            records.push(Record { zone, name, kind, ..Record::default() });
            records.len() - 1
        });
        records[index].members.push(member);
        Some(())
    }

    fn zone(&mut self, values: &Value) -> Option<()> {
        let (id, name) = (text(values, "zone_id")?, text(values, "name")?);
        let private = values["private_zone"].as_bool() == Some(true) || list(values, "vpc").next().is_some();
        self.zones.insert(id, (dns_name(&name), private));
        Some(())
    }

    fn balancer(&mut self, values: &Value) -> Option<()> {
        let (arn, name) = (text(values, "arn")?, text(values, "name")?);
        self.place(&arn);
        let dns_name = text(values, "dns_name").as_deref().map(dns_name).unwrap_or_default();
        self.inventory.balancers.push(Balancer { arn, name, dns_name });
        Some(())
    }

    fn listener(&mut self, values: &Value) -> Option<()> {
        let (arn, balancer) = (text(values, "arn")?, text(values, "load_balancer_arn")?);
        self.place(&arn);
        let port = unsigned(&values["port"]).and_then(|port| u16::try_from(port).ok());
        let protocol = text(values, "protocol");
        self.listeners.insert(arn.clone(), (port, protocol.clone()));
        let Some((groups, sticky_s)) = forwarded(values, "default_action") else { return Some(()) };
        let kind = ForwarderKind::Listener;
        self.inventory.forwarders.push(Forwarder { kind, arn, balancer, port, protocol, groups, sticky_s });
        Some(())
    }

    fn rule(&mut self, values: &Value) -> Option<()> {
        let (arn, listener) = (text(values, "arn")?, text(values, "listener_arn")?);
        self.place(&arn);
        let Some((groups, sticky_s)) = forwarded(values, "action") else { return Some(()) };
        let balancer = listener.replace(":listener/", ":loadbalancer/");
        let balancer = balancer.rsplit_once('/')?.0.to_owned();
        let kind = ForwarderKind::Rule { priority: unsigned(&values["priority"]).map(|priority| priority.to_string()) };
        self.inventory.forwarders.push(Forwarder { kind, arn, balancer, port: None, protocol: None, groups, sticky_s });
        Some(())
    }

    fn target(&mut self, values: &Value) -> Option<()> {
        let (group, id) = (text(values, "target_group_arn")?, text(values, "target_id")?);
        let port =
            unsigned(&values["port"]).filter(|port| *port > 0).map(|port| format!(":{port}")).unwrap_or_default();
        self.place(&group);
        self.inventory.targets.entry(group).or_default().ids.push(format!("{id}{port}"));
        Some(())
    }

    /// An Auto Scaling group or an ECS service registers targets by itself.
    fn registers(&mut self, values: &Value) -> Option<()> {
        let groups = list(values, "target_group_arns").filter_map(Value::as_str).map(str::to_owned);
        let sources = list(values, "traffic_source").chain(list(values, "load_balancer"));
        let others =
            sources.filter_map(|source| text(source, "identifier").or_else(|| text(source, "target_group_arn")));
        let attached = ["lb_target_group_arn", "alb_target_group_arn"].into_iter().filter_map(|key| text(values, key));
        self.registered_for.extend(groups.chain(others).chain(attached));
        Some(())
    }

    fn database(&mut self, values: &Value, key: &str, cluster: bool) -> Option<()> {
        let name = text(values, key)?;
        if let Some(arn) = text(values, "arn") {
            self.place(&arn);
        }
        let members = list(values, "cluster_members").filter_map(Value::as_str).map(str::to_owned).collect();
        let window = values["backtrack_window"].as_i64().filter(|window| *window > 0);
        self.inventory.databases.push(Database {
            cluster,
            name,
            engine: text(values, "engine").unwrap_or_default(),
            members,
            backups: Backups {
                point_in_time: unsigned(&values["backup_retention_period"]).map(|days| days > 0),
                backtrack_window_s: window,
                ..Backups::default()
            },
            ..Database::default()
        });
        Some(())
    }

    fn member(&mut self, values: &Value) -> Option<()> {
        self.members.push((text(values, "cluster_identifier")?, text(values, "identifier")?));
        Some(())
    }

    fn snapshot(&mut self, values: &Value, of: &str, key: &str, cluster: bool) -> Option<()> {
        if text(values, "status").is_some_and(|status| status != "available") {
            return Some(());
        }
        let taken = ["original_snapshot_create_time", "snapshot_create_time"].into_iter();
        let taken = taken.filter_map(|key| text(values, key)).find_map(|time| time.parse::<Timestamp>().ok());
        self.snapshots.push((cluster, text(values, of)?, Snapshot { name: text(values, key)?, taken }));
        Some(())
    }

    fn metric_alarm(&mut self, values: &Value) -> Option<()> {
        let queries = || list(values, "metric_query").flat_map(|query| list(query, "metric"));
        let pairs = |value: &Value| {
            let pairs = value["dimensions"].as_object().into_iter().flatten();
            pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect::<Vec<_>>()
        };
        let mut dimensions = pairs(values);
        dimensions.extend(queries().flat_map(pairs));
        let called = |value: &Value| Some([text(value, "namespace")?, text(value, "metric_name")?].join(" "));
        let math = || queries().find_map(called).map(|metric| format!("Metric math over {metric}"));
        let period =
            [unsigned(&values["period"])].into_iter().chain(queries().map(|metric| unsigned(&metric["period"])));
        let period = period.flatten().max();
        let count = unsigned(&values["evaluation_periods"]);
        self.inventory.alarms.push(Alarm {
            name: text(values, "alarm_name")?,
            arn: text(values, "arn").unwrap_or_default(),
            metric: Some(called(values).or_else(math).unwrap_or_else(|| "Metric math".to_owned())),
            dimensions,
            looks_at_s: period.zip(count).and_then(|(period, count)| period.checked_mul(count)),
            ..Alarm::default()
        });
        Some(())
    }

    fn composite_alarm(&mut self, values: &Value) -> Option<()> {
        self.inventory.alarms.push(Alarm {
            name: text(values, "alarm_name")?,
            arn: text(values, "arn").unwrap_or_default(),
            rule: Some(text(values, "alarm_rule").unwrap_or_default()),
            ..Alarm::default()
        });
        Some(())
    }
}

/// The groups of a forward action and for how long stickiness lasts. None: it forwards nothing.
fn forwarded(values: &Value, key: &str) -> Option<(Vec<Share>, Option<i64>)> {
    let action = list(values, key).find(|action| action["type"] == "forward")?;
    let Some(forward) = list(action, "forward").next() else {
        return Some((vec![Share { arn: text(action, "target_group_arn")?, weight: 1 }], None));
    };
    let share = |group: &Value| {
        let weight = unsigned(&group["weight"]).and_then(|weight| u32::try_from(weight).ok()).unwrap_or(1);
        Some(Share { arn: text(group, "arn")?, weight })
    };
    let groups: Vec<Share> = list(forward, "target_group").filter_map(share).collect();
    let sticky = list(forward, "stickiness").find(|stickiness| stickiness["enabled"] == true);
    (!groups.is_empty()).then(|| (groups, sticky.and_then(|stickiness| stickiness["duration"].as_i64())))
}
