//! Databases, and what they could be restored from.

use belay_draft::inventory::{Backups, Database, Snapshot};
use belay_ports::ReadError;

use super::{Discovery, Found};
use crate::rds::survey;

/// Of up to 100 databases each.
const CALLS_MAX: usize = 100;

impl Discovery {
    /// Instances on their own, and clusters; their backups are asked for one by one: [`Discovery::backups`].
    ///
    /// # Errors
    /// [`ReadError`] of the calls.
    pub async fn databases(&self) -> Result<Found<Database>, ReadError> {
        let client = &self.clients.rds.read;
        self.tell("RDS: instances and clusters");
        let (instances, clusters) =
            futures::try_join!(survey::instances(client, CALLS_MAX), survey::clusters(client, CALLS_MAX))?;
        let mut notes = Vec::new();
        for (found, what) in [(instances.whole, "instances"), (clusters.whole, "clusters")] {
            if !found {
                notes.push(format!(
                    "not all {what} of RDS were looked at: Belay makes at most {CALLS_MAX} calls for this"
                ));
            }
        }
        Ok(Found { items: clusters.databases.into_iter().chain(instances.databases).collect(), notes })
    }

    /// What a database could be restored from, and why not all of it is known.
    pub async fn backups(&self, database: &Database) -> (Backups, Vec<String>) {
        let client = &self.clients.rds.read;
        self.tell(format_args!("RDS: backups of {}", database.name));
        let mut backups = database.backups.clone();
        let mut notes = Vec::new();
        let (earliest, snapshot, deployments) = futures::join!(
            survey::earliest_restorable(client, database),
            survey::newest_snapshot(client, database),
            survey::deployments(client, database)
        );
        let mut told = |error: ReadError| notes.push(format!("not read: {}", error.why));
        match earliest {
            Ok(earliest) => backups.earliest_restorable = earliest.or(backups.earliest_restorable),
            Err(error) => told(error),
        }
        match snapshot {
            Ok(snapshot) => {
                backups.snapshot = snapshot.map(|snapshot| Snapshot { name: snapshot.name, taken: snapshot.taken });
            }
            Err(error) => told(error),
        }
        match deployments {
            Ok((production, other)) => (backups.switches_back, backups.other_side_of) = (production, other),
            Err(error) => told(error),
        }
        (backups, notes)
    }
}
