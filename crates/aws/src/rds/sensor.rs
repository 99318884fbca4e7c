//! `rds_status`: whether an instance has the status that it should.

use std::{fmt, sync::Arc};

use belay_core::reading::{Health, Reading};
use belay_plan::{
    catalogue::{SignalSpec, no_signal_findings},
    shape::{field, object, pattern},
};
use belay_ports::{Clock, Fut, Permission, ReadError, Sensor, sensor::Query};
use futures::future::join_all;
use serde::Deserialize;

use super::{DESCRIBE_INSTANCES, describe_instance, instance_shape};
use crate::{
    place,
    sensing::{Deadline, Finding},
    session::Aws,
};

/// The signal's key in plans.
pub const KEY: &str = "rds_status";

/// What `rds_status` takes.
pub fn signal_spec() -> SignalSpec {
    SignalSpec {
        key: KEY,
        summary: "The status of an RDS instance.",
        value: object([
            field("instance", instance_shape(), "The instance."),
            field("status", pattern("a status such as `available`", "^[a-z][a-z-]*$"), "The healthy one.")
                .or("available"),
        ]),
        siblings: Vec::new(),
        check: no_signal_findings,
    }
}

/// The signal behind [`KEY`].
#[derive(Clone)]
pub struct RdsStatus {
    aws: Aws,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for RdsStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RdsStatus").field("aws", &self.aws).finish_non_exhaustive()
    }
}

#[derive(Debug, Deserialize)]
struct Spec {
    instance: String,
    status: String,
}

impl RdsStatus {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        Self { aws, clock }
    }

    async fn read_one(&self, query: &Query) -> Reading {
        let taken = self.clock.now();
        let found = match Deadline::start(&*self.clock).bound(self.status(query)).await {
            Ok(found) => found,
            Err(why) => Finding::Unreadable { why },
        };
        found.reading(query, taken, "rds")
    }

    async fn status(&self, query: &Query) -> Result<Finding, ReadError> {
        let Spec { instance, status: wanted } = Spec::deserialize(&query.spec[KEY]).map_err(|error| ReadError {
            why: format!("the signal's `{KEY}` cannot be understood: {error}"),
            permanent: true,
        })?;
        // As RDS stores it, and as the policy names it: IAM knows case.
        let instance = instance.to_ascii_lowercase();
        let clients = self.aws.clients(&query.aws).await?;
        Ok(match describe_instance(&clients.rds.read, &instance).await? {
            Some(found) if found.status == wanted => Finding::new(Health::Healthy, format!("{instance} is {wanted}")),
            Some(found) => Finding::new(Health::Unhealthy, format!("{instance} is {}, wanted {wanted}", found.status)),
            None => Finding::new(Health::Unhealthy, format!("there is no instance {instance} in {}", clients.region)),
        })
    }
}

impl Sensor for RdsStatus {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(async { join_all(queries.iter().map(|query| self.read_one(query))).await })
    }

    fn permissions(&self, query: &Query) -> Vec<Permission> {
        let partition = place::partition(&query.aws);
        let region = query.aws.region.as_deref().unwrap_or("*");
        let account = query.aws.account.as_deref().unwrap_or("*");
        let instance = query.spec[KEY]["instance"].as_str().unwrap_or("*").to_ascii_lowercase();
        vec![Permission {
            action: DESCRIBE_INSTANCES.to_owned(),
            resource: format!("arn:{partition}:rds:{region}:{account}:db:{instance}"),
            mutates: false,
            conditions: Vec::new(),
        }]
    }
}
