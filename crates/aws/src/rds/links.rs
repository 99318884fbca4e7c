//! What holds on to a database from outside of it: deployments and integrations that keep RDS from renaming it, proxies that
//! go on to lead to it.

use aws_sdk_rds::{Client, error::ProvideErrorMetadata};
use belay_ports::Scope;
use serde::{Deserialize, Serialize};

use super::source::Kind;
use crate::errors;

pub(super) const DESCRIBE_DEPLOYMENTS: &str = "rds:DescribeBlueGreenDeployments";
pub(super) const DESCRIBE_INTEGRATIONS: &str = "rds:DescribeIntegrations";
pub(super) const DESCRIBE_PROXIES: &str = "rds:DescribeDBProxies";
pub(super) const DESCRIBE_PROXY_TARGETS: &str = "rds:DescribeDBProxyTargets";

/// Read before a restore begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Links {
    /// Blue/green deployments that it is a part of.
    pub deployments: Vec<String>,
    /// Zero-ETL integrations that it is the source of.
    pub integrations: Vec<String>,
    /// RDS Proxies whose target it is.
    pub proxies: Vec<String>,
    /// What could not be read, each with the reason. A restore does not depend on it.
    pub unread: Vec<String>,
}

impl Links {
    /// Why RDS would refuse to rename it, if so.
    pub(super) fn held(&self, name: &str) -> Option<String> {
        if let Some(deployment) = self.deployments.first() {
            return Some(format!(
                "{name} is part of the blue/green deployment {deployment}, and RDS renames none that is: delete the deployment \
                 (`aws rds delete-blue-green-deployment`, which keeps the databases), or use `rds.switch_back`"
            ));
        }
        let integration = self.integrations.first()?;
        Some(format!(
            "{name} is the source of the zero-ETL integration {integration}, and RDS renames none that is: delete the \
             integration, and make it anew afterwards"
        ))
    }
}

/// While nothing runs, what was found before will do: what would be lost does not depend on it, and it takes many calls.
pub(super) async fn once(client: &Client, scope: &Scope, kind: Kind, name: &str) -> Links {
    let previous = scope.previous.as_deref().filter(|_| scope.run.is_none());
    match previous.and_then(|doc| Links::deserialize(&doc["links"]).ok()) {
        Some(links) => links,
        None => of(client, kind, name).await,
    }
}

/// Never fails: it is looked for beside what a restore needs.
async fn of(client: &Client, kind: Kind, name: &str) -> Links {
    let (deployments, integrations, proxies) =
        futures::join!(deployments(client, kind, name), integrations(client, kind, name), proxies(client, kind, name));
    let deployments = deployments.map(|all| all.into_iter().map(|deployment| deployment.name).collect());
    let mut links = Links::default();
    for (found, list) in
        [(deployments, &mut links.deployments), (integrations, &mut links.integrations), (proxies, &mut links.proxies)]
    {
        match found {
            Ok(found) => *list = found,
            Err(why) => links.unread.push(why),
        }
    }
    links
}

fn unread<E>(call: &str) -> impl Fn(aws_sdk_rds::error::SdkError<E>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    move |error| errors::read(error, call, "*").why
}

/// Whether an ARN is of this database.
fn is_of(arn: Option<&str>, kind: Kind, name: &str) -> bool {
    let word = if kind == Kind::Instance { ":db:" } else { ":cluster:" };
    arn.and_then(|arn| arn.rsplit_once(word)).is_some_and(|(_, own)| own.eq_ignore_ascii_case(name))
}

/// A blue/green deployment that a database is part of.
pub(super) struct Deployment {
    pub(super) name: String,
    /// Whether it is what clients use: blue until the switchover, green since.
    pub(super) production: bool,
}

pub(super) async fn deployments(client: &Client, kind: Kind, name: &str) -> Result<Vec<Deployment>, String> {
    let mut pages = client.describe_blue_green_deployments().into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(unread(DESCRIBE_DEPLOYMENTS))?;
        // As long as the deployment exists, the switchover being over changes nothing.
        for one in page.blue_green_deployments.unwrap_or_default() {
            let [blue, green] = [&one.source, &one.target].map(|arn| is_of(arn.as_deref(), kind, name));
            let switched = one.status.as_deref() == Some("SWITCHOVER_COMPLETED");
            let production = if switched { green } else { blue };
            let deployment = one.blue_green_deployment_name.map(|name| Deployment { name, production });
            found.extend(deployment.filter(|_| blue || green));
        }
    }
    Ok(found)
}

async fn integrations(client: &Client, kind: Kind, name: &str) -> Result<Vec<String>, String> {
    let mut pages = client.describe_integrations().into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(one) = pages.next().await {
        let one = match one {
            Ok(one) => one,
            // Where RDS does not have the operation, it has no integrations.
            Err(error) if errors::code(&error) == Some("InvalidAction") => return Ok(Vec::new()),
            Err(error) => return Err(unread(DESCRIBE_INTEGRATIONS)(error)),
        };
        if is_of(one.source_arn.as_deref(), kind, name) {
            found.extend(one.integration_name);
        }
    }
    Ok(found)
}

/// A proxy names its target by the name that this has at the moment.
pub(super) async fn proxies(client: &Client, kind: Kind, name: &str) -> Result<Vec<String>, String> {
    let mut pages = client.describe_db_proxies().into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(proxy) = pages.next().await {
        let Some(proxy) = proxy.map_err(unread(DESCRIBE_PROXIES))?.db_proxy_name else { continue };
        let mut targets = client.describe_db_proxy_targets().db_proxy_name(&proxy).into_paginator().items().send();
        while let Some(target) = targets.next().await {
            let target = target.map_err(unread(DESCRIBE_PROXY_TARGETS))?;
            let named = target.rds_resource_id.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name));
            if is_of(target.target_arn.as_deref(), kind, name) || (named && target.target_arn.is_none()) {
                found.push(proxy.clone());
                break;
            }
        }
    }
    Ok(found)
}
