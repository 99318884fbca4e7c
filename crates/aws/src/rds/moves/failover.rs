//! `rds.failover`: the writer of a cluster is the instance that it was; the primary of a Multi-AZ instance is in the zone that it
//! was in. No data moves; connections break for about a minute.

mod calls;

use std::{fmt, sync::Arc, time::Duration};

use belay_aws_catalogue::rds::failover::With;
use belay_core::change::{Assessment, Change, Effect, Key, Receipt, Repeats};
use belay_plan::model::Target;
use belay_ports::{ApplyError, Clock, Corrupt, Fut, Permission, ReadError, Scope, System};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::calls::{Call, FAILOVER, REBOOT};
use super::{
    super::{
        sent::Sent,
        status::{Phase, phase},
    },
    DESCRIBE_CLUSTERS, DESCRIBE_INSTANCES, arn, corrupt, permission, settling, verdict,
};
use crate::session::Aws;

const CHANGE: &str = "failover";

/// "Typically 60 to 120 seconds", says the RDS User Guide of instances; of Aurora, less than a minute.
const EXPECTED: Duration = Duration::from_secs(60);
/// An accepted failover shows within this time.
const SHOWN_WITHIN: Duration = Duration::from_secs(10 * 60);

/// Everything that a look finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    looked: Timestamp,
    found: Found,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Found {
    Missing,
    Cluster { status: String, engine: String, members: Vec<Member> },
    Instance { status: String, multi_az: bool, zone: String, standby_zone: Option<String> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Member {
    name: String,
    writer: bool,
    status: String,
}

impl Found {
    fn writer(&self) -> Option<&str> {
        let Self::Cluster { members, .. } = self else { return None };
        members.iter().find(|member| member.writer).map(|writer| writer.name.as_str())
    }
}

/// What is returned to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Goal {
    Writer(String),
    Zone(String),
}

impl Goal {
    fn of(scope: &Scope, baseline: Option<&State>) -> Result<Self, Corrupt> {
        match (&scope.to, baseline.map(|baseline| &baseline.found)) {
            (Target::Explicit(goal), _) => Self::deserialize(goal)
                .map_err(|error| Corrupt(format!("the step's `to` cannot be understood: {error}"))),
            (_, Some(found @ Found::Cluster { .. })) => match found.writer() {
                Some(writer) => Ok(Self::Writer(writer.to_owned())),
                None => Err(Corrupt("at the baseline the cluster had no writer: name one in `to`".to_owned())),
            },
            (_, Some(Found::Instance { zone, .. })) => Ok(Self::Zone(zone.clone())),
            (_, Some(Found::Missing)) => Err(Corrupt("at the baseline there was no such database".to_owned())),
            (_, None) => Err(Corrupt("there is no baseline to return to".to_owned())),
        }
    }
}

/// The action `rds.failover`.
#[derive(Clone)]
pub struct RdsFailover {
    aws: Aws,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for RdsFailover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RdsFailover").field("aws", &self.aws).finish_non_exhaustive()
    }
}

impl RdsFailover {
    pub fn new(aws: Aws, clock: Arc<dyn Clock>) -> Self {
        Self { aws, clock }
    }

    async fn look(&self, scope: &Scope, with: With) -> Result<State, ReadError> {
        let looked = self.clock.now();
        let clients = self.aws.clients(&scope.aws).await?;
        let found = match &with {
            With::Cluster(name) => calls::cluster(&clients.rds.read, name).await?,
            With::Instance(name) => calls::instance(&clients.rds.read, name).await?,
        };
        // Nothing can go back to a baseline without a writer, or without the database.
        let is_capture = scope.run.is_none() && scope.baseline.is_none() && scope.to == Target::Baseline;
        match &found {
            Found::Missing if is_capture => Err(not_captured(format!("there is no database {}", with.name()))),
            Found::Cluster { status, .. } if is_capture && found.writer().is_none() => Err(not_captured(format!(
                "{} is {status} and has no writer now: take the baseline when it has one, or name the `writer` in `to`",
                with.name()
            ))),
            _ => Ok(State { looked, found }),
        }
    }
}

fn not_captured(why: String) -> ReadError {
    ReadError { why, permanent: true }
}

/// `before`: what was found before the first send of the run.
fn assess(with: &With, now: &State, goal: &Goal, before: Option<&State>, sent: Sent<'_>) -> Assessment {
    let accepted = sent.recently(CHANGE, SHOWN_WITHIN).is_some();
    // Where a second failover would lead elsewhere, one whose answer was lost is given the time of one that was accepted.
    let perhaps = sent.perhaps(CHANGE, SHOWN_WITHIN);
    match (with, &now.found, goal) {
        (With::Cluster(name), Found::Cluster { status, engine, members }, Goal::Writer(writer)) => {
            let was = before.and_then(|before| before.found.writer());
            Cluster { name, status, engine, members, accepted, perhaps, was }.assess(writer)
        }
        (With::Instance(name), Found::Instance { status, multi_az, zone, standby_zone }, Goal::Zone(goal)) => {
            Instance { name, status, multi_az: *multi_az, zone, standby: standby_zone.as_deref(), accepted, perhaps }
                .assess(goal)
        }
        (With::Cluster(name), Found::Missing, _) => verdict(format!("there is no DB cluster {name}")),
        (With::Instance(name), Found::Missing, _) => verdict(format!("there is no DB instance {name}")),
        (With::Cluster(_), ..) => verdict("`to` names a zone; of a cluster it has to name the `writer`"),
        (With::Instance(_), ..) => verdict("`to` names a writer; of an instance it has to name the `zone`"),
    }
}

struct Cluster<'a> {
    name: &'a str,
    status: &'a str,
    engine: &'a str,
    members: &'a [Member],
    /// A failover was accepted, and may not show yet.
    accepted: bool,
    /// The same, or its answer was lost.
    perhaps: bool,
    /// The writer before the first send of the run.
    was: Option<&'a str>,
}

impl Cluster<'_> {
    fn assess(&self, goal: &str) -> Assessment {
        let Self { name, status, .. } = self;
        let goal = goal.to_ascii_lowercase();
        let Some(target) = self.members.iter().find(|member| member.name.to_ascii_lowercase() == goal) else {
            let members: Vec<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
            return verdict(format!("{goal} is no member of {name}; its members are: {}", members.join(", ")));
        };
        let ready = phase(status);
        if let Phase::Stuck { cure } = ready {
            return verdict(format!("{name} is {status}: {cure}"));
        }
        match (target.writer, ready) {
            (true, Phase::Available) => return Assessment::InPlace,
            (true, _) => return settling(format!("{goal} is the writer of {name}, which is {status}")),
            (false, Phase::Changing) => return settling(format!("{name} is {status}")),
            (false, _) => {}
        }
        let Some(writer) = self.members.iter().find(|member| member.writer) else {
            return settling(format!("{name} has no writer at the moment"));
        };
        let has_moved = self.was.is_some_and(|was| !was.eq_ignore_ascii_case(&writer.name));
        if self.perhaps && self.is_untargeted() && has_moved {
            return verdict(format!(
                "AWS chose {} as the writer of {name}, not {goal}: RDS for MySQL takes no target for a Multi-AZ DB cluster; \
                 `retry` after ten minutes lets it choose again, `skip` leaves it there",
                writer.name
            ));
        }
        if self.accepted {
            return settling(format!("AWS accepted the failover; {} is still the writer of {name}", writer.name));
        }
        if self.perhaps && self.is_untargeted() {
            return settling(format!(
                "the answer to the failover was lost; {} is still the writer of {name}",
                writer.name
            ));
        }
        match phase(&target.status) {
            Phase::Available => Assessment::Remaining(vec![self.change(&writer.name, &target.name)]),
            Phase::Changing => settling(format!("{goal} is {}, and can be the writer after that", target.status)),
            Phase::Stuck { cure } => verdict(format!("{goal} is {}, and no fit writer: {cure}", target.status)),
        }
    }

    /// RDS for MySQL Multi-AZ DB clusters choose for themselves.
    fn is_untargeted(&self) -> bool {
        self.engine == "mysql"
    }

    fn change(&self, from: &str, to: &str) -> Change {
        let cluster = self.name.to_ascii_lowercase();
        let chooses = if self.is_untargeted() { " (AWS chooses: RDS for MySQL takes no target)" } else { "" };
        Change {
            id: CHANGE.to_owned(),
            title: format!("fail {cluster} over from {from} to {to}{chooses}"),
            before: json!({ "writer": from }),
            after: json!({ "writer": to }),
            call: FAILOVER.to_owned(),
            args: json!(Call::Cluster { cluster, to: (!self.is_untargeted()).then(|| to.to_owned()) }),
            effects: vec![Effect::Outage { expected: EXPECTED }],
            keeps: None,
            // With a target twice is the same as once.
            repeats: if self.is_untargeted() { Repeats::Never } else { Repeats::Converges },
            expected: EXPECTED,
        }
    }
}

struct Instance<'a> {
    name: &'a str,
    status: &'a str,
    multi_az: bool,
    zone: &'a str,
    standby: Option<&'a str>,
    accepted: bool,
    perhaps: bool,
}

impl Instance<'_> {
    fn assess(&self, goal: &str) -> Assessment {
        let Self { name, status, zone, .. } = self;
        let ready = phase(status);
        match (*zone == goal, ready) {
            (_, Phase::Stuck { cure }) => return verdict(format!("{name} is {status}: {cure}")),
            (true, Phase::Available) => return Assessment::InPlace,
            (_, Phase::Changing) => return settling(format!("{name} is {status} in {zone}")),
            (false, Phase::Available) => {}
        }
        if self.accepted {
            return settling(format!("AWS accepted the failover; {name} is still in {zone}"));
        }
        // A second one would lead back, and the zone shows late.
        if self.perhaps {
            return settling(format!("the answer to the failover was lost; {name} is still in {zone}"));
        }
        if !self.multi_az {
            return verdict(format!(
                "{name} is in {zone}, and is no Multi-AZ instance: it has no standby to fail over to"
            ));
        }
        if let Some(standby) = self.standby.filter(|standby| *standby != goal) {
            return verdict(format!(
                "{name} is in {zone} with its standby in {standby}: it cannot fail over to {goal}"
            ));
        }
        let instance = name.to_ascii_lowercase();
        Assessment::Remaining(vec![Change {
            id: CHANGE.to_owned(),
            title: format!("reboot {instance} with a failover from {zone} to {goal}"),
            before: json!({ "zone": zone }),
            after: json!({ "zone": goal }),
            call: REBOOT.to_owned(),
            args: json!(Call::Instance { instance }),
            effects: vec![Effect::Outage { expected: EXPECTED }],
            keeps: None,
            // A second one would lead back, and the zone shows late.
            repeats: Repeats::Never,
            expected: EXPECTED,
        }])
    }
}

impl System for RdsFailover {
    type With = With;
    type State = State;

    fn observe<'a>(
        &'a self,
        scope: &'a Scope,
        with: With,
        _receipts: &'a [Receipt],
    ) -> Fut<'a, Result<State, ReadError>> {
        Box::pin(self.look(scope, with))
    }

    fn assess(
        &self,
        scope: &Scope,
        with: &With,
        now: &State,
        baseline: Option<&State>,
        receipts: &[Receipt],
    ) -> Result<Assessment, Corrupt> {
        let (goal, before) = (Goal::of(scope, baseline)?, scope.before::<State>()?);
        let sent = Sent { sends: &scope.sent, receipts, looked: now.looked };
        Ok(assess(with, now, &goal, before.as_ref(), sent))
    }

    fn apply<'a>(&'a self, scope: &'a Scope, _key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        Box::pin(async move {
            let call = Call::deserialize(&change.args).map_err(|error| corrupt(&change.id, &error))?;
            call.send(&self.aws.clients(&scope.aws).await?.rds.write).await
        })
    }

    fn permissions(&self, scope: &Scope, with: &With) -> Vec<Permission> {
        match with {
            With::Cluster(name) => {
                let cluster = arn(scope, "cluster", &name.to_ascii_lowercase());
                // The members are found through their cluster, whatever they are called.
                let members = arn(scope, "db", "*");
                vec![
                    permission(false, DESCRIBE_CLUSTERS, cluster.clone()),
                    permission(false, DESCRIBE_INSTANCES, members.clone()),
                    permission(true, FAILOVER, cluster),
                    permission(true, FAILOVER, members),
                ]
            }
            With::Instance(name) => {
                let instance = arn(scope, "db", &name.to_ascii_lowercase());
                vec![permission(false, DESCRIBE_INSTANCES, instance.clone()), permission(true, REBOOT, instance)]
            }
        }
    }
}

#[cfg(test)]
mod tests;
