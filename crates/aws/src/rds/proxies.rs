//! The RDS Proxies of a replaced database: after the swap each leads to the one that has its name now.
//!
//! A proxy has one target. Whether that follows a database through its renames or stays with a name is not documented, so nothing is
//! taken for known: after the swap each proxy is asked for its target. Where that is the replaced database, it is taken out of the
//! proxy's group, and the restored one is registered. Neither call deletes anything.

use std::time::Duration;

use aws_sdk_rds::{
    Client,
    types::{DbProxyTarget, TargetType},
};
use belay_core::change::{Assessment, Change, Effect};
use belay_ports::{ApplyError, ReadError, Scope};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    With,
    assess::changes::change,
    calls::{self, Call},
    links::{DESCRIBE_PROXY_TARGETS, Links},
    sent::{Sent, settling},
    source::Kind,
    spec::KeepEndpoint,
};
use crate::errors;

pub(super) const DEREGISTER: &str = "rds:DeregisterDBProxyTargets";
pub(super) const REGISTER: &str = "rds:RegisterDBProxyTargets";

/// By which a plan accepts that they stay with the replaced database.
pub(super) const WORD: &str = "proxies";

const DEREGISTER_ID: &str = "deregister_proxy";
const REGISTER_ID: &str = "register_proxy";

/// An accepted change shows within this time.
const SHOWN_WITHIN: Duration = Duration::from_secs(2 * 60);

/// A proxy that was given a target reaches it within this time; usually within a minute or two.
const REACHED_WITHIN: Duration = Duration::from_secs(10 * 60);

const EXPECTED: Duration = Duration::from_secs(60);

/// A proxy, and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxied {
    proxy: String,
    /// By the name that it has at the moment. None: nothing is registered.
    target: Option<String>,
    /// Why the proxy does not reach it, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unreached: Option<String>,
}

/// Of a call that changes a proxy's target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Target {
    proxy: String,
    name: String,
    of_cluster: bool,
}

/// Whether a run moves those that there are. Behind a record, or beside the other, the restored database has a name of its own.
pub(super) fn moves(with: &With) -> bool {
    with.keep_endpoint == KeepEndpoint::Rename && !with.without.contains(WORD)
}

/// The proxies that a run moves: those that led to the database before it began.
pub(super) fn moved<'l>(with: &With, before: Option<&'l Links>) -> &'l [String] {
    before.filter(|_| moves(with)).map(|links| links.proxies.as_slice()).unwrap_or_default()
}

/// What each of them leads to now.
pub(super) async fn look(client: &Client, kind: Kind, proxies: &[String]) -> Result<Vec<Proxied>, ReadError> {
    let mut found = Vec::new();
    for proxy in proxies {
        let targets = client.describe_db_proxy_targets().db_proxy_name(proxy).into_paginator().items().send();
        let targets: Vec<DbProxyTarget> = match targets.collect::<Result<_, _>>().await {
            Ok(targets) => targets,
            // Somebody has deleted it: it leads nobody anywhere.
            Err(error) if errors::code(&error).is_some_and(|code| code.starts_with("DBProxyNotFound")) => continue,
            Err(error) => return Err(errors::read(error, DESCRIBE_PROXY_TARGETS, proxy)),
        };
        found.push(Proxied::of(proxy, kind, &targets));
    }
    Ok(found)
}

impl Proxied {
    fn of(proxy: &str, kind: Kind, targets: &[DbProxyTarget]) -> Self {
        // Beside a cluster its members are listed, each with the cluster's name.
        let name = |target: &DbProxyTarget| match (kind, &target.r#type) {
            (Kind::Cluster, Some(TargetType::RdsInstance)) => target.tracked_cluster_id.clone(),
            _ => target.rds_resource_id.clone(),
        };
        let unreached = targets.iter().filter_map(|target| {
            let health = target.target_health()?;
            let state = health.state.as_ref().filter(|state| state.as_str() != "AVAILABLE")?;
            Some(health.description.clone().unwrap_or_else(|| state.as_str().to_lowercase()))
        });
        let reached = targets.iter().any(|target| {
            target
                .target_health()
                .and_then(|health| health.state.as_ref())
                .is_some_and(|state| state.as_str() == "AVAILABLE")
        });
        Self {
            proxy: proxy.to_owned(),
            target: targets.iter().find_map(name),
            unreached: unreached.into_iter().next().filter(|_| !reached),
        }
    }

    fn leads_to(&self, name: &str) -> bool {
        self.target.as_deref().is_some_and(|target| target.eq_ignore_ascii_case(name))
    }
}

/// The names of the two databases after the swap.
pub(super) struct Swapped<'a> {
    pub(super) kind: Kind,
    pub(super) replaced: &'a str,
    pub(super) restored: &'a str,
}

impl Swapped<'_> {
    fn target(&self, proxy: &str, name: &str) -> Target {
        Target { proxy: proxy.to_owned(), name: name.to_owned(), of_cluster: self.kind == Kind::Cluster }
    }

    fn deregister(&self, proxy: &str) -> Change {
        let replaced = self.replaced;
        Change {
            id: format!("{DEREGISTER_ID}:{proxy}"),
            title: format!("take {replaced} out of the target group of the proxy {proxy}"),
            before: json!({ "target": replaced }),
            after: json!({ "target": null }),
            effects: vec![Effect::Outage { expected: EXPECTED }],
            ..change(Call::DeregisterProxy(self.target(proxy, replaced)), EXPECTED)
        }
    }

    fn register(&self, proxy: &str) -> Change {
        let restored = self.restored;
        Change {
            id: format!("{REGISTER_ID}:{proxy}"),
            title: format!("register {restored} with the proxy {proxy}"),
            before: json!({ "target": null }),
            after: json!({ "target": restored }),
            // That of the deregistration ends with it.
            effects: vec![Effect::Outage { expected: EXPECTED }],
            ..change(Call::RegisterProxy(self.target(proxy, restored)), EXPECTED)
        }
    }

    /// What is planned before the swap.
    pub(super) fn planned(&self, proxies: &[String]) -> Vec<Change> {
        proxies.iter().flat_map(|proxy| [self.deregister(proxy), self.register(proxy)]).collect()
    }

    /// What remains to be done now, if anything does.
    pub(super) fn remaining(&self, proxied: &[Proxied], sent: &Sent<'_>) -> Option<Assessment> {
        let (mut changes, mut waiting) = (Vec::new(), None);
        for one in proxied {
            let proxy = one.proxy.as_str();
            let recently = |id: &str, within| sent.recently(&format!("{id}:{proxy}"), within).is_some();
            if one.leads_to(self.replaced) && recently(DEREGISTER_ID, SHOWN_WITHIN) {
                waiting = Some(format!("AWS accepted that {} leaves the proxy {proxy}", self.replaced));
            } else if one.leads_to(self.replaced) {
                changes.extend([self.deregister(proxy), self.register(proxy)]);
            } else if one.target.is_none() && recently(REGISTER_ID, SHOWN_WITHIN) {
                waiting = Some(format!("AWS accepted {} as the target of the proxy {proxy}", self.restored));
            } else if one.target.is_none() {
                changes.push(self.register(proxy));
            } else if let Some(why) = one.unreached.as_ref().filter(|_| sent.lately(REACHED_WITHIN)) {
                waiting = Some(format!("the proxy {proxy} does not reach {} yet: {why}", self.restored));
            }
        }
        match changes.is_empty() {
            false => Some(Assessment::Remaining(changes)),
            true => waiting.map(settling),
        }
    }

    /// What is not as it should be once nothing remains to be done: for people.
    pub(super) fn differences(&self, proxied: &[Proxied]) -> Vec<String> {
        let told = proxied.iter().filter_map(|one| {
            let proxy = &one.proxy;
            match (&one.target, &one.unreached) {
                (Some(target), _) if !one.leads_to(self.restored) => Some(format!(
                    "{WORD}: {proxy} leads to {target}, which is neither {} nor {}: somebody has given it that target",
                    self.restored, self.replaced
                )),
                (_, Some(why)) => Some(format!("{WORD}: {proxy} does not reach {}: {why}", self.restored)),
                _ => None,
            }
        });
        told.collect()
    }
}

impl Target {
    fn about(&self) -> String {
        format!("{}, target {}", self.proxy, self.name)
    }

    fn identifiers(&self) -> (Option<Vec<String>>, Option<Vec<String>>) {
        let name = Some(vec![self.name.clone()]);
        if self.of_cluster { (None, name) } else { (name, None) }
    }

    pub(super) async fn deregister(&self, client: &Client) -> Result<Value, ApplyError> {
        let (instances, clusters) = self.identifiers();
        let asked = client.deregister_db_proxy_targets().db_proxy_name(&self.proxy);
        let sent = asked.set_db_instance_identifiers(instances).set_db_cluster_identifiers(clusters).send().await;
        sent.map_err(|error| calls::failure(error, DEREGISTER, &self.about()))?;
        Ok(Value::Null)
    }

    pub(super) async fn register(&self, client: &Client) -> Result<Value, ApplyError> {
        let (instances, clusters) = self.identifiers();
        let asked = client.register_db_proxy_targets().db_proxy_name(&self.proxy);
        let sent = asked.set_db_instance_identifiers(instances).set_db_cluster_identifiers(clusters).send().await;
        sent.map_err(|error| calls::failure(error, REGISTER, &self.about()))?;
        Ok(Value::Null)
    }
}

/// The proxies that a look of a run asks: none before the swap, and none where the run moves none.
pub(super) fn asked(scope: &Scope, with: &With, before: Option<Links>, swapped: bool) -> Vec<String> {
    let asks = scope.run.is_some() && swapped;
    moved(with, before.as_ref().filter(|_| asks)).to_vec()
}
