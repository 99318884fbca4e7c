//! What hangs on databases: proxies, custom endpoints, roles, the Data API.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Rds,
    database::{Database, Kind},
    describe::{ZONE, refuse_filters},
};
use crate::{
    answer::{Answered, Refusal},
    input::Input,
    page::page,
    world::{Place, Thing, World},
};

/// An RDS Proxy with its one target.
#[derive(Debug, Clone)]
pub(crate) struct Proxied {
    pub(super) name: String,
    pub(super) target: Option<Target>,
}

/// Which of the two a proxy knows its target by is not documented, so a world has either.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// A resource id: it stays with the database, whatever that is called.
    Resource(String),
    /// It leads to whatever is called so.
    Name(Kind, String),
}

/// A custom endpoint of an Aurora cluster; its name is the account's, not the cluster's.
#[derive(Debug, Clone)]
pub(crate) struct CustomEndpoint {
    pub(super) name: String,
    /// A resource id.
    pub(super) cluster: String,
    pub(super) kind: String,
    /// Resource ids.
    pub(super) members: Vec<String>,
}

impl Target {
    fn is(&self, resource: &str) -> bool {
        matches!(self, Self::Resource(id) if id == resource)
    }
}

impl Rds {
    pub(super) fn describe_proxies(&self, place: &Place, input: Input<'_>) -> Answered {
        let input = input.only("DBProxyName Filters Marker MaxRecords")?;
        refuse_filters(&input.filters(), &[])?;
        let asked = input.text("DBProxyName");
        let shown: Vec<Value> = self
            .proxies
            .iter()
            .filter(|proxy| asked.is_none_or(|name| name == proxy.name))
            .map(|proxy| {
                let arn = place.arn("rds", &format!("db-proxy:{}", proxy.name));
                let endpoint = format!("{}.proxy-{ZONE}.{}.rds.amazonaws.com", proxy.name, place.region);
                json!({ "DBProxyName": proxy.name, "DBProxyArn": arn, "Status": "available", "Endpoint": endpoint })
            })
            .collect();
        if let (true, Some(name)) = (shown.is_empty(), asked) {
            return Err(Refusal::missing("DBProxyNotFoundFault", format!("DBProxy {name} not found")));
        }
        let (shown, marker) = page(shown, place.page, input.number("MaxRecords"), input.text("Marker"))?;
        Ok(json!({ "DBProxies": { "member": shown }, "Marker": marker }))
    }

    pub(super) fn describe_integrations(&self, place: &Place, input: Input<'_>) -> Answered {
        let input = input.only("IntegrationIdentifier Filters MaxRecords Marker")?;
        refuse_filters(&input.filters(), &[])?;
        let shown = self.integrations.iter().map(|one| {
            json!({
                "IntegrationName": one.name,
                "IntegrationArn": place.arn("rds", &format!("integration:{}", one.name)),
                "SourceArn": place.arn("rds", &format!("db:{}", one.source)),
                "Status": "active",
            })
        });
        let (shown, marker) = page(shown.collect(), place.page, input.number("MaxRecords"), input.text("Marker"))?;
        Ok(json!({ "Integrations": { "Integration": shown }, "Marker": marker }))
    }

    fn proxy(&self, name: &str) -> Result<&Proxied, Refusal> {
        let missing = || Refusal::missing("DBProxyNotFoundFault", format!("DBProxy {name} not found"));
        self.proxies.iter().find(|proxy| proxy.name == name).ok_or_else(missing)
    }

    pub(super) fn describe_proxy_targets(&self, place: &Place, input: Input<'_>) -> Answered {
        let input = input.only("DBProxyName TargetGroupName Filters Marker MaxRecords")?;
        let proxy = self.proxy(input.wanted("DBProxyName")?)?;
        let shown: Vec<Value> = match &proxy.target {
            None => Vec::new(),
            Some(target) => match (self.target(target), target) {
                (Some(found), _) => vec![shown_target(found, place)],
                (None, Target::Name(kind, name)) => vec![json!({
                    "RdsResourceId": name, "Type": target_type(*kind),
                    "TargetHealth": { "State": "UNAVAILABLE", "Description": "there is no such database" },
                })],
                (None, Target::Resource(_)) => Vec::new(),
            },
        };
        let (shown, marker) = page(shown, place.page, input.number("MaxRecords"), input.text("Marker"))?;
        Ok(json!({ "Targets": { "member": shown }, "Marker": marker }))
    }

    pub(super) fn describe_proxy_target_groups(&self, place: &Place, input: Input<'_>) -> Answered {
        let input = input.only("DBProxyName TargetGroupName Filters Marker MaxRecords")?;
        let proxy = self.proxy(input.wanted("DBProxyName")?)?;
        let arn = place.arn("rds", &format!("target-group:{}", proxy.name));
        let group = json!({
            "DBProxyName": proxy.name, "TargetGroupName": "default", "TargetGroupArn": arn, "IsDefault": true,
            "Status": "available",
        });
        Ok(json!({ "TargetGroups": { "member": [group] } }))
    }

    fn target(&self, target: &Target) -> Option<&Database> {
        match target {
            Target::Resource(id) => self.databases.iter().find(|found| found.id == *id),
            Target::Name(kind, name) => self.database(*kind, name),
        }
    }

    /// A switchover takes proxies along to green (user guide, "Using RDS Proxy with Blue/Green Deployments").
    pub(super) fn lead_proxies(&mut self, blue: &str, green: &str) {
        for proxy in &mut self.proxies {
            if let Some(Target::Resource(id)) = proxy.target.as_mut().filter(|target| target.is(blue)) {
                green.clone_into(id);
            }
        }
    }

    /// The name of the database that a proxy leads to.
    pub fn proxy_leads_to(&self, proxy: &str) -> Option<&str> {
        let proxy = self.proxies.iter().find(|found| found.name == proxy)?;
        self.target(proxy.target.as_ref()?).map(Database::called)
    }

    /// A proxy has one target (user guide, "Quotas and limitations for RDS Proxy").
    pub(super) fn register_proxy_target(&mut self, place: &Place, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only("DBProxyName TargetGroupName DBInstanceIdentifiers DBClusterIdentifiers")?;
        let name = input.wanted("DBProxyName")?;
        let instances = input.texts("DBInstanceIdentifiers", "member");
        let target = match (instances.first(), input.texts("DBClusterIdentifiers", "member").first()) {
            (Some(instance), None) => self.found(Kind::Instance, instance, now)?,
            (None, Some(cluster)) => self.found(Kind::Cluster, cluster, now)?,
            _ => {
                return Err(Refusal::bad("InvalidParameterCombination", "One instance or one cluster is to be named."));
            }
        };
        if self.proxy(name)?.target.is_some() {
            let message = format!("DBProxy {name} has a target already.");
            return Err(Refusal::bad("DBProxyTargetAlreadyRegisteredFault", message));
        }
        let (id, shown) = (target.id.clone(), shown_target(target, place));
        let proxy = self.proxies.iter_mut().find(|proxy| proxy.name == name);
        proxy.expect("it was found just now").target = Some(Target::Resource(id));
        Ok(json!({ "DBProxyTargets": { "member": [shown] } }))
    }

    pub(super) fn deregister_proxy_target(&mut self, input: Input<'_>) -> Answered {
        let input = input.only("DBProxyName TargetGroupName DBInstanceIdentifiers DBClusterIdentifiers")?;
        let name = input.wanted("DBProxyName")?.to_owned();
        let instances = input.texts("DBInstanceIdentifiers", "member");
        let clusters = input.texts("DBClusterIdentifiers", "member");
        let named = instances.first().or(clusters.first()).copied().unwrap_or_default();
        let target = self.proxy(&name)?.target.as_ref().and_then(|target| self.target(target));
        if !target.is_some_and(|found| found.is_called(named)) {
            let message = format!("DBProxy {name} has no target {named}.");
            return Err(Refusal::missing("DBProxyTargetNotFoundFault", message));
        }
        let proxy = self.proxies.iter_mut().find(|proxy| proxy.name == name);
        proxy.expect("it was found just now").target = None;
        Ok(json!({}))
    }

    pub(super) fn describe_endpoints(&self, place: &Place, input: Input<'_>) -> Answered {
        let input = input.only("DBClusterIdentifier DBClusterEndpointIdentifier Filters MaxRecords Marker")?;
        let asked = input.text("DBClusterEndpointIdentifier");
        let of = match input.text("DBClusterIdentifier") {
            None => None,
            Some(name) => {
                let found = self.database(Kind::Cluster, name).ok_or_else(|| Kind::Cluster.not_found(name))?;
                Some(found.id.clone())
            }
        };
        let listed = |found: &&CustomEndpoint| {
            of.as_ref().is_none_or(|id| *id == found.cluster) && asked.is_none_or(|name| name == found.name)
        };
        let shown: Vec<Value> =
            self.endpoints.iter().filter(listed).map(|found| self.shown_endpoint(place, found)).collect();
        let (shown, marker) = page(shown, place.page, input.number("MaxRecords"), input.text("Marker"))?;
        Ok(json!({ "DBClusterEndpoints": { "DBClusterEndpointList": shown }, "Marker": marker }))
    }

    pub(super) fn shown_endpoint(&self, place: &Place, found: &CustomEndpoint) -> Value {
        let named = |id: &String| self.databases.iter().find(|one| one.id == *id).map(Database::called);
        let members: Vec<&str> = found.members.iter().filter_map(named).collect();
        json!({
            "DBClusterEndpointIdentifier": found.name, "DBClusterIdentifier": named(&found.cluster),
            "Endpoint": found.host(place), "Status": "available", "EndpointType": "CUSTOM",
            "CustomEndpointType": found.kind, "StaticMembers": { "member": members },
            "DBClusterEndpointArn": place.arn("rds", &format!("cluster-endpoint:{}", found.name)),
        })
    }

    /// An identifier is the account's in a Region: one that another cluster's endpoint has is refused (API reference,
    /// CreateDBClusterEndpoint).
    pub(super) fn create_endpoint(&mut self, place: &Place, now: Timestamp, input: Input<'_>) -> Answered {
        let known = "DBClusterIdentifier DBClusterEndpointIdentifier EndpointType StaticMembers ExcludedMembers Tags";
        let input = input.only(known)?;
        let name = input.wanted("DBClusterEndpointIdentifier")?.to_ascii_lowercase();
        let cluster = self.found(Kind::Cluster, input.wanted("DBClusterIdentifier")?, now)?.id.clone();
        if self.endpoints.iter().any(|found| found.name == name) {
            return Err(Refusal::bad("DBClusterEndpointAlreadyExistsFault", format!("{name} already exists")));
        }
        let members = self.members_named(&cluster, &input.texts("StaticMembers", "member"))?;
        let kind = input.wanted("EndpointType")?.to_owned();
        let made = CustomEndpoint { name, cluster, kind, members };
        let shown = self.shown_endpoint(place, &made);
        self.endpoints.push(made);
        Ok(shown)
    }

    pub(super) fn modify_endpoint(&mut self, place: &Place, input: Input<'_>) -> Answered {
        let input = input.only("DBClusterEndpointIdentifier EndpointType StaticMembers ExcludedMembers")?;
        let name = input.wanted("DBClusterEndpointIdentifier")?;
        let missing = || Refusal::missing("DBClusterEndpointNotFoundFault", format!("{name} not found"));
        let index = self.endpoints.iter().position(|found| found.name == name).ok_or_else(missing)?;
        let cluster = self.endpoints[index].cluster.clone();
        let members = self.members_named(&cluster, &input.texts("StaticMembers", "member"))?;
        self.endpoints[index].members = members;
        Ok(self.shown_endpoint(place, &self.endpoints[index]))
    }

    fn members_named(&self, cluster: &str, names: &[&str]) -> Result<Vec<String>, Refusal> {
        let find = |name: &&str| {
            let found = self.members(cluster).find(|member| member.is_called(name));
            found.map(|member| member.id.clone()).ok_or_else(|| Kind::Instance.not_found(name))
        };
        names.iter().map(find).collect()
    }

    pub(super) fn add_role(&mut self, now: Timestamp, kind: Kind, input: Input<'_>) -> Answered {
        let input = input.only("DBInstanceIdentifier DBClusterIdentifier RoleArn FeatureName")?;
        let found = self.found(kind, input.wanted(&format!("{}Identifier", kind.word()))?, now)?;
        if found.status != "available" {
            return Err(kind.wrong_state(format!("{} is {}.", found.called(), found.status)));
        }
        let (id, arn) = (found.id.clone(), input.wanted("RoleArn")?);
        let element = format!("{}Role", kind.word());
        let mut roles = found.attributes["AssociatedRoles"][&element].as_array().cloned().unwrap_or_default();
        if roles.iter().any(|role| role["RoleArn"] == arn) {
            return Err(Refusal::bad(&format!("{element}AlreadyExists"), format!("{arn} is associated already.")));
        }
        roles.push(json!({ "RoleArn": arn, "FeatureName": input.text("FeatureName"), "Status": "ACTIVE" }));
        let found = self.by_id(&id).expect("it was found just now");
        found.attributes["AssociatedRoles"] = json!({ element: roles });
        Ok(json!({}))
    }

    /// The Data API of an Aurora cluster, by its ARN.
    pub(super) fn enable_http_endpoint(&mut self, input: Input<'_>) -> Answered {
        let arn = input.only("ResourceArn")?.wanted("ResourceArn")?;
        let name = arn.rsplit_once(":cluster:").map_or("", |(_, name)| name);
        let found = self.database(Kind::Cluster, name);
        let missing = || Refusal::missing("ResourceNotFoundFault", format!("{arn} not found"));
        let found = found.ok_or_else(missing)?;
        if found.status != "available" {
            return Err(Refusal::bad("InvalidResourceStateFault", format!("{name} is {}.", found.status)));
        }
        let id = found.id.clone();
        self.by_id(&id).expect("it was found just now").attributes["HttpEndpointEnabled"] = json!("true");
        Ok(json!({ "ResourceArn": arn, "HttpEndpointEnabled": true }))
    }
}

fn target_type(kind: Kind) -> &'static str {
    if kind == Kind::Instance { "RDS_INSTANCE" } else { "TRACKED_CLUSTER" }
}

fn shown_target(found: &Database, place: &Place) -> Value {
    json!({
        "TargetArn": found.arn(place), "RdsResourceId": found.called(), "Type": target_type(found.kind),
        "TargetHealth": { "State": if found.status == "available" { "AVAILABLE" } else { "UNAVAILABLE" } },
    })
}

impl CustomEndpoint {
    pub(super) fn host(&self, place: &Place) -> String {
        format!("{}.cluster-custom-{ZONE}.{}.rds.amazonaws.com", self.name, place.region)
    }
}

/// A proxy before a database of the world: `Proxy::before("shop")`.
#[derive(Debug, Clone)]
pub struct Proxy {
    name: String,
    kind: Kind,
    of: String,
    by_name: bool,
}

impl Proxy {
    pub fn before(instance: &str) -> Self {
        Self { name: format!("{instance}-proxy"), kind: Kind::Instance, of: instance.to_owned(), by_name: false }
    }

    pub fn before_cluster(cluster: &str) -> Self {
        Self { name: format!("{cluster}-proxy"), kind: Kind::Cluster, of: cluster.to_owned(), by_name: false }
    }

    /// Knows its target by its name alone.
    #[must_use]
    pub fn by_name(self) -> Self {
        Self { by_name: true, ..self }
    }
}

/// A zero-ETL integration whose source is an instance of the world.
#[derive(Debug, Clone)]
pub struct Integration {
    pub(super) name: String,
    /// The identifier of the source.
    pub(super) source: String,
}

impl Integration {
    pub fn from(instance: &str) -> Self {
        Self { name: format!("{instance}-to-warehouse"), source: instance.to_owned() }
    }
}

impl Thing for Integration {
    fn enter(self, world: &mut World) {
        world.rds.integrations.push(self);
    }
}

impl Thing for Proxy {
    fn enter(self, world: &mut World) {
        let of = world.rds.database(self.kind, &self.of).unwrap_or_else(|| panic!("there is no {}", self.of));
        let target = if self.by_name { Target::Name(self.kind, self.of) } else { Target::Resource(of.id.clone()) };
        world.rds.proxies.push(Proxied { name: self.name, target: Some(target) });
    }
}

/// A custom endpoint of a cluster of the world: `Endpoint::of("stock", "reports").with(&["stock-2"])`.
#[derive(Debug, Clone)]
pub struct Endpoint {
    cluster: String,
    name: String,
    members: Vec<String>,
}

impl Endpoint {
    pub fn of(cluster: &str, name: &str) -> Self {
        Self { cluster: cluster.to_owned(), name: name.to_owned(), members: Vec::new() }
    }

    #[must_use]
    pub fn with(mut self, members: &[&str]) -> Self {
        self.members.extend(members.iter().map(|name| (*name).to_owned()));
        self
    }
}

impl Thing for Endpoint {
    fn enter(self, world: &mut World) {
        let cluster = world.rds.database(Kind::Cluster, &self.cluster);
        let cluster = cluster.unwrap_or_else(|| panic!("there is no {}", self.cluster)).id.clone();
        let names: Vec<&str> = self.members.iter().map(String::as_str).collect();
        let members = world.rds.members_named(&cluster, &names).expect("its members are there");
        world.rds.endpoints.push(CustomEndpoint { name: self.name, cluster, kind: "READER".to_owned(), members });
    }
}
