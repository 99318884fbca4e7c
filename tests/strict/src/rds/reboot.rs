//! Failovers, reboots, starts and stops.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Rds,
    database::{Due, Kind},
};
use crate::{
    answer::{Answered, Refusal},
    input::Input,
    world::Place,
};

impl Rds {
    /// The new writer shows some seconds after the call was accepted. While a failover is under way, and for a moment after
    /// it, another is refused (user guide, "Failing over an Amazon Aurora DB cluster").
    pub(super) fn fail_over(&mut self, place: &Place, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only("DBClusterIdentifier TargetDBInstanceIdentifier")?;
        let cluster = self.found(Kind::Cluster, input.wanted("DBClusterIdentifier")?, now)?;
        let refused = |message: String| Err(Kind::Cluster.wrong_state(message));
        if cluster.status != "available" || cluster.busy_until.is_some_and(|until| now < until) {
            return refused(format!("DB cluster {} is not available: it is {}.", cluster.called(), cluster.status));
        }
        let target = input.text("TargetDBInstanceIdentifier");
        // API reference, FailoverDBCluster: "isn't supported for RDS for MySQL Multi-AZ DB clusters".
        if target.is_some() && cluster.text("Engine") == "mysql" {
            let message = "TargetDBInstanceIdentifier isn't supported for RDS for MySQL Multi-AZ DB clusters.";
            return Err(Refusal::bad("InvalidParameterCombination", message));
        }
        let ready = |status: &str| matches!(status, "available" | "storage-optimization");
        let readers: Vec<_> = self.members(&cluster.id).filter(|member| !member.writer).collect();
        let chosen = match target {
            None => {
                let mut able: Vec<_> = readers.iter().filter(|reader| ready(&reader.status)).collect();
                able.sort_by_key(|reader| reader.text("PromotionTier").parse().unwrap_or(1));
                able.first().map(|reader| (**reader).clone())
            }
            Some(name) => match self.members(&cluster.id).find(|member| member.is_called(name)) {
                None => return Err(Kind::Instance.not_found(name)),
                Some(member) if member.writer => return refused(format!("{name} is the writer already.")),
                Some(member) if !ready(&member.status) => return refused(format!("{name} is {}.", member.status)),
                Some(member) => Some(member.clone()),
            },
        };
        let Some(chosen) = chosen else {
            return refused(format!("{} has no reader that is available.", cluster.called()));
        };
        let (id, writer) = (cluster.id.clone(), self.members(&cluster.id).find(|member| member.writer));
        let old = writer.map(|writer| writer.id.clone());
        let shown = now + self.pace.failover_shows;
        let done = shown + self.pace.failover;
        self.agenda.at(shown, Due::Status { id: id.clone(), status: "failing-over".to_owned() });
        self.agenda.at(shown, Due::Write { cluster: id.clone(), member: chosen.id.clone() });
        for member in [Some(chosen.id), old].into_iter().flatten() {
            self.agenda.at(shown, Due::Status { id: member.clone(), status: "rebooting".to_owned() });
            self.agenda.at(done, Due::Rest { id: member });
        }
        self.agenda.at(done, Due::Rest { id: id.clone() });
        let again = done + self.pace.failover_again;
        self.by_id(&id).expect("it was found just now").busy_until = Some(again);
        Ok(json!({ "DBCluster": self.shown_cluster(place, now, &id) }))
    }

    /// With a failover, AWS shows the zones late.
    pub(super) fn reboot(&mut self, place: &Place, now: Timestamp, input: Input<'_>) -> Answered {
        let input = input.only("DBInstanceIdentifier ForceFailover")?;
        let found = self.found(Kind::Instance, input.wanted("DBInstanceIdentifier")?, now)?;
        let able = matches!(found.status.as_str(), "available" | "storage-optimization" | "incompatible-parameters");
        if !able || found.busy_until.is_some_and(|until| now < until) {
            let message = format!("DB instance {} is not available: it is {}.", found.called(), found.status);
            return Err(Kind::Instance.wrong_state(message));
        }
        if input.is_on("ForceFailover") && found.text("MultiAZ") != "true" {
            let message = "Cannot force failover of a DB instance that is not Multi-AZ.";
            return Err(Refusal::bad("InvalidParameterCombination", message));
        }
        let (id, zones) =
            (found.id.clone(), ["AvailabilityZone", "SecondaryAvailabilityZone"].map(|of| found.text(of)));
        let swapped = json!({ "AvailabilityZone": zones[1], "SecondaryAvailabilityZone": zones[0] });
        let until = self.go_through(&id, now + self.pace.failover_shows, &[("rebooting", self.pace.reboot)]);
        self.agenda.at(until, Due::Rest { id: id.clone() });
        if input.is_on("ForceFailover") {
            let attributes = swapped.as_object().cloned().unwrap_or_default();
            let due = Due::Set { id: id.clone(), attributes, no_longer_pending: Vec::new() };
            self.agenda.at(now + self.pace.zone_shows, due);
        }
        Ok(json!({ "DBInstance": self.shown_instance(place, now, &id) }))
    }

    /// Of a cluster with all its members (user guide, "Stopping and starting an Amazon Aurora DB cluster").
    pub(super) fn start_or_stop(
        &mut self,
        place: &Place,
        now: Timestamp,
        kind: Kind,
        start: bool,
        input: Input<'_>,
    ) -> Answered {
        let known = "DBInstanceIdentifier DBClusterIdentifier DBSnapshotIdentifier DBCapacityReservationIdentifier \
                     DetachFromDBCapacityReservation";
        let input = input.only(known)?;
        let found = self.found(kind, input.wanted(&format!("{}Identifier", kind.word()))?, now)?;
        let (from, through, to) =
            if start { ("stopped", "starting", "available") } else { ("available", "stopping", "stopped") };
        if found.status != from {
            return Err(kind.wrong_state(format!("{} is {}, not {from}.", found.called(), found.status)));
        }
        if kind == Kind::Instance && found.cluster.is_some() {
            return Err(kind.wrong_state(format!("{} is a member of a DB cluster.", found.called())));
        }
        let id = found.id.clone();
        let members: Vec<String> = self.members(&id).map(|member| member.id.clone()).collect();
        for id in members.into_iter().chain([id.clone()]) {
            let until = self.go_through(&id, now + self.pace.failover_shows, &[(through, self.pace.start)]);
            self.agenda.at(until, Due::RestAs { id: id.clone(), status: to.to_owned() });
            self.agenda.at(until, Due::Rest { id });
        }
        let shown: Value = match kind {
            Kind::Instance => self.shown_instance(place, now, &id),
            Kind::Cluster => self.shown_cluster(place, now, &id),
        };
        Ok(json!({ kind.word(): shown }))
    }

    /// One member becomes the writer.
    pub(super) fn make_writer(&mut self, cluster: &str, writer: &str) {
        for member in self.databases.iter_mut().filter(|found| found.cluster.as_deref() == Some(cluster)) {
            member.writer = member.id == writer;
        }
    }
}
