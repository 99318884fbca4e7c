//! Blue/green deployments: two databases that AWS has switched over, or is about to.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Rds,
    build::{Cluster, Instance},
    database::{Database, Due, Kind},
    describe::refuse_filters,
};
use crate::{
    answer::{Answered, Refusal},
    input::Input,
    page::page,
    world::{Place, Thing, World},
};

#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    pub(super) id: String,
    pub(super) name: String,
    /// Resource ids.
    pub(super) blue: String,
    pub(super) green: String,
    pub(super) status: String,
}

impl Rds {
    pub(super) fn describe_deployments(&self, place: &Place, input: Input<'_>) -> Answered {
        let input = input.only("BlueGreenDeploymentIdentifier Filters Marker MaxRecords")?;
        let filters = input.filters();
        let known = ["blue-green-deployment-identifier", "blue-green-deployment-name", "source", "target"];
        refuse_filters(&filters, &known)?;
        let asked = input.text("BlueGreenDeploymentIdentifier");
        let mut shown = Vec::new();
        for found in self.deployments.iter().filter(|found| asked.is_none_or(|id| id == found.id)) {
            let value = self.shown_deployment(place, found);
            let passes = filters.iter().all(|(filter, values)| {
                let of = match *filter {
                    "source" => &value["Source"],
                    "target" => &value["Target"],
                    "blue-green-deployment-name" => &value["BlueGreenDeploymentName"],
                    _ => &value["BlueGreenDeploymentIdentifier"],
                };
                values.iter().any(|wanted| of == wanted)
            });
            if passes {
                shown.push(value);
            }
        }
        if let (true, Some(id)) = (shown.is_empty(), asked) {
            return Err(Refusal::missing("BlueGreenDeploymentNotFoundFault", format!("{id} not found.")));
        }
        let (shown, marker) = page(shown, place.page, input.number("MaxRecords"), input.text("Marker"))?;
        Ok(json!({ "BlueGreenDeployments": { "member": shown }, "Marker": marker }))
    }

    fn shown_deployment(&self, place: &Place, found: &Deployment) -> Value {
        let arn = |id: &str| self.databases.iter().find(|found| found.id == id).map(|found| found.arn(place));
        let (blue, green) = (arn(&found.blue), arn(&found.green));
        json!({
            "BlueGreenDeploymentIdentifier": found.id, "BlueGreenDeploymentName": found.name, "Source": blue,
            "Target": green, "Status": found.status,
            "SwitchoverDetails": {
                "member": [{ "SourceMember": blue, "TargetMember": green, "Status": found.status }],
            },
        })
    }

    /// User guide, "Limitations for blue/green deployments": its databases cannot be renamed as long as it exists.
    pub(super) fn refuse_in_deployment(&self, found: &Database) -> Result<(), Refusal> {
        let id = found.cluster.as_ref().unwrap_or(&found.id);
        let of = self.deployments.iter().find(|one| one.blue == *id || one.green == *id);
        match of {
            None => Ok(()),
            Some(of) => {
                let message = format!("{} is part of the blue/green deployment {}.", found.called(), of.id);
                Err(found.kind.wrong_state(message))
            }
        }
    }

    /// The switchover of a deployment, at once: blue and its members get `-old1`, or the next number that is free, and green's
    /// get their names (user guide, "Switching a blue/green deployment").
    pub fn switch_over(&mut self, name: &str) {
        let found = self.deployments.iter_mut().find(|found| found.name == name);
        let found = found.unwrap_or_else(|| panic!("there is no deployment {name}"));
        "SWITCHOVER_COMPLETED".clone_into(&mut found.status);
        let (blue, green) = (found.blue.clone(), found.green.clone());
        let taken = |old: &String| self.databases.iter().any(|found| found.is_called(old));
        let suffix = (1..).map(|number| format!("-old{number}"));
        let suffix = suffix.into_iter().find(|suffix| !taken(&format!("{name}{suffix}"))).unwrap_or_default();
        let of = |id: &str, found: &Database| found.id == id || found.cluster.as_deref() == Some(id);
        for found in self.databases.iter_mut().filter(|found| of(&blue, found)) {
            found.be_called(format!("{}{suffix}", found.called()));
        }
        for found in self.databases.iter_mut().filter(|found| of(&green, found)) {
            let called = found.called().to_owned();
            found.be_called(called.split("-green-").next().unwrap_or(&called).to_owned());
        }
        self.lead_proxies(&blue, &green);
    }

    /// A deployment of what is production now, with a green that is a copy of it.
    pub fn prepare_next(&mut self, name: &str) {
        let blue = self.databases.iter().find(|found| found.is_called(name) && found.cluster.is_none());
        let blue = blue.unwrap_or_else(|| panic!("there is no {name}")).clone();
        let mut green = Database { id: self.new_id(blue.kind), ..blue.clone() };
        green.be_called(format!("{name}-green-def456"));
        let (id, status) = (format!("bgd-next-{name}"), "AVAILABLE".to_owned());
        self.deployments.push(Deployment { id, name: name.to_owned(), blue: blue.id, green: green.id.clone(), status });
        self.databases.push(green);
    }

    /// The record of a deployment is gone, at once.
    pub fn forget_deployment(&mut self, name: &str) {
        self.deployments.retain(|found| found.name != name);
    }

    /// A person deletes the record of a deployment; its databases stay.
    pub fn delete_deployment(&mut self, name: &str, now: Timestamp) {
        let found = self.deployments.iter_mut().find(|found| found.name == name);
        let found = found.unwrap_or_else(|| panic!("there is no deployment {name}"));
        "DELETING".clone_into(&mut found.status);
        self.agenda.at(now + self.pace.failover, Due::Dissolved { id: found.id.clone() });
    }
}

impl Database {
    fn be_called(&mut self, name: String) {
        (self.holds, self.name) = (vec![name.clone()], Some(name));
    }

    pub(super) fn arn(&self, place: &Place) -> String {
        let word = if self.kind == Kind::Instance { "db" } else { "cluster" };
        place.arn("rds", &format!("{word}:{}", self.called()))
    }
}

/// A deployment of a database of the world: `BlueGreen::of(Instance::mysql("shop")).switched_over()`.
#[derive(Debug, Clone)]
pub struct BlueGreen {
    blue: Side,
    green: Side,
    production: String,
    old: String,
    status: String,
    has_record: bool,
}

#[derive(Debug, Clone)]
enum Side {
    Instance(Instance),
    Cluster(Cluster),
}

impl BlueGreen {
    /// Before the switchover: the green copy is `NAME-green-abc123`.
    pub fn of(blue: Instance) -> Self {
        let production = blue.name().to_owned();
        let green = Side::Instance(blue.clone().called(&format!("{production}-green-abc123")));
        Self::new(Side::Instance(blue), green, production)
    }

    pub fn of_cluster(blue: Cluster) -> Self {
        let production = blue.name().to_owned();
        let green = Side::Cluster(blue.clone().called(&format!("{production}-green-abc123"), "-green-abc123"));
        Self::new(Side::Cluster(blue), green, production)
    }

    fn new(blue: Side, green: Side, production: String) -> Self {
        let old = format!("{production}-old1");
        Self { blue, green, production, old, status: "AVAILABLE".to_owned(), has_record: true }
    }

    #[must_use]
    pub fn being(mut self, status: &str) -> Self {
        status.clone_into(&mut self.status);
        self
    }

    /// The old blue has another name than `NAME-old1`, because that was taken.
    #[must_use]
    pub fn old_called(mut self, name: &str) -> Self {
        name.clone_into(&mut self.old);
        self
    }

    /// Green has the name of production, and the old blue is kept.
    #[must_use]
    pub fn switched_over(mut self) -> Self {
        let suffix = self.old.strip_prefix(&self.production).unwrap_or("-old1").to_owned();
        match (self.blue, self.green) {
            (Side::Instance(blue), Side::Instance(green)) => {
                self.blue = Side::Instance(blue.called(&self.old));
                self.green = Side::Instance(green.called(&self.production));
            }
            (Side::Cluster(blue), Side::Cluster(_)) => {
                self.green = Side::Cluster(blue.clone());
                self.blue = Side::Cluster(blue.called(&self.old, &suffix));
            }
            (blue, green) => (self.blue, self.green) = (blue, green),
        }
        self.being("SWITCHOVER_COMPLETED")
    }

    /// Somebody has deleted the record of the deployment.
    #[must_use]
    pub fn without_record(mut self) -> Self {
        self.has_record = false;
        self
    }
}

impl Thing for BlueGreen {
    fn enter(self, world: &mut World) {
        let ids = [self.blue, self.green].map(|side| match side {
            Side::Instance(instance) => {
                let name = instance.name().to_owned();
                instance.enter(world);
                world.rds.database(Kind::Instance, &name).expect("it was placed just now").id.clone()
            }
            Side::Cluster(cluster) => {
                let name = cluster.name().to_owned();
                cluster.enter(world);
                world.rds.database(Kind::Cluster, &name).expect("it was placed just now").id.clone()
            }
        });
        if self.has_record {
            let [blue, green] = ids;
            let id = format!("bgd-{}", self.production);
            world.rds.deployments.push(Deployment { id, name: self.production, blue, green, status: self.status });
        }
    }
}
