//! Backtracks of Aurora MySQL clusters, in place.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Rds,
    database::{Due, Kind},
    describe::refuse_filters,
};
use crate::{
    answer::{Answered, Refusal},
    input::Input,
    page::page,
    world::Place,
};

/// "The nearest consistent time" (user guide, "Backtracking an Aurora DB cluster").
const NEAREST: Duration = Duration::from_secs(3);

#[derive(Debug, Clone)]
pub(crate) struct Backtrack {
    pub(super) id: String,
    pub(super) cluster: String,
    pub(super) to: Timestamp,
    pub(super) from: Timestamp,
    pub(super) requested: Timestamp,
    /// Since when it is listed.
    pub(super) listed: Timestamp,
    pub(super) status: &'static str,
}

impl Rds {
    pub(super) fn backtrack(&mut self, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only("DBClusterIdentifier BacktrackTo Force UseEarliestTimeOnPointInTimeUnavailable")?;
        let cluster = self.found(Kind::Cluster, input.wanted("DBClusterIdentifier")?, now)?;
        let window = cluster.text("BacktrackWindow").parse::<u64>().unwrap_or(0);
        if window == 0 || !cluster.text("Engine").starts_with("aurora-mysql") {
            return Err(Kind::Cluster.wrong_state("Backtrack is not enabled for the DB cluster."));
        }
        if cluster.status != "available" || cluster.busy_until.is_some_and(|until| now < until) {
            let message = format!("DB cluster {} is not available: it is {}.", cluster.called(), cluster.status);
            return Err(Kind::Cluster.wrong_state(message));
        }
        let wanted = input.wanted("BacktrackTo")?;
        let to: Timestamp = wanted.parse().map_err(|_| Refusal::bad("InvalidParameterValue", "Invalid timestamp"))?;
        if to > now || to < cluster.earliest_backtrack(now) {
            let message = format!("The backtrack time {to} is not within the backtrack window.");
            return Err(Refusal::bad("InvalidParameterValue", message));
        }
        if cluster.text("BinaryLog") == "on" && !input.is_on("Force") {
            let message = "Binary logging is enabled: to backtrack anyway, use Force.";
            return Err(Refusal::bad("InvalidParameterCombination", message));
        }
        let name = cluster.called().to_owned();
        let (id, at) = (cluster.id.clone(), now + self.pace.backtrack_shows);
        let backtrack = Backtrack {
            id: format!("backtrack-{}", self.backtracks.len() + 1),
            cluster: id.clone(),
            to: to - NEAREST,
            from: now,
            requested: now,
            listed: at,
            status: "PENDING",
        };
        let answer = backtrack.shown(&name);
        let made = backtrack.id.clone();
        self.backtracks.push(backtrack);
        let until = self.go_through(&id, at, &[("backtracking", self.pace.backtrack)]);
        self.agenda.at(at, Due::Backtracked { id: made.clone(), status: "APPLYING" });
        self.agenda.at(until, Due::Backtracked { id: made, status: "COMPLETED" });
        self.agenda.at(until, Due::Rest { id });
        Ok(answer)
    }

    pub(super) fn describe_backtracks(&self, place: &Place, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only("DBClusterIdentifier BacktrackIdentifier Filters MaxRecords Marker")?;
        refuse_filters(&input.filters(), &["db-cluster-backtrack-id", "db-cluster-backtrack-status"])?;
        let name = input.wanted("DBClusterIdentifier")?;
        let cluster = self.database(Kind::Cluster, name).ok_or_else(|| Kind::Cluster.not_found(name))?;
        let asked = input.text("BacktrackIdentifier");
        let listed = |found: &&Backtrack| {
            found.cluster == cluster.id && found.listed <= now && asked.is_none_or(|id| id == found.id)
        };
        let found: Vec<Value> = self.backtracks.iter().rev().filter(listed).map(|found| found.shown(name)).collect();
        if let (true, Some(id)) = (found.is_empty(), asked) {
            return Err(Refusal::missing("DBClusterBacktrackNotFoundFault", format!("{id} not found")));
        }
        let (found, marker) = page(found, place.page, input.number("MaxRecords"), input.text("Marker"))?;
        Ok(json!({ "DBClusterBacktracks": { "DBClusterBacktrack": found }, "Marker": marker }))
    }

    /// Every backtrack of a cluster, by the time that it went to.
    pub fn backtracks_of(&self, cluster: &str) -> Vec<Timestamp> {
        let Some(cluster) = self.database(Kind::Cluster, cluster) else { return Vec::new() };
        self.backtracks.iter().filter(|found| found.cluster == cluster.id).map(|found| found.to).collect()
    }
}

impl Backtrack {
    fn shown(&self, cluster: &str) -> Value {
        json!({
            "DBClusterIdentifier": cluster, "BacktrackIdentifier": self.id, "BacktrackTo": self.to.to_string(),
            "BacktrackedFrom": self.from.to_string(), "BacktrackRequestCreationTime": self.requested.to_string(),
            "Status": self.status,
        })
    }
}
