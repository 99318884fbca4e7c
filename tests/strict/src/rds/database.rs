//! An instance or a cluster: its names, its status, and what happens to it in time.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Rds;
use crate::{answer::Refusal, world::Place};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Instance,
    Cluster,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Instance => "DBInstance",
            Self::Cluster => "DBCluster",
        }
    }

    /// RDS ends some codes in `Fault` and some not (API reference, errors of each operation).
    pub(super) fn not_found(self, name: &str) -> Refusal {
        match self {
            Self::Instance => Refusal::missing("DBInstanceNotFound", format!("DBInstance {name} not found.")),
            Self::Cluster => Refusal::missing("DBClusterNotFoundFault", format!("DBCluster {name} not found.")),
        }
    }

    pub(super) fn taken(self) -> Refusal {
        match self {
            Self::Instance => Refusal::bad("DBInstanceAlreadyExists", "DB instance already exists"),
            Self::Cluster => Refusal::bad("DBClusterAlreadyExistsFault", "DB Cluster already exists"),
        }
    }

    pub(super) fn wrong_state(self, message: impl Into<String>) -> Refusal {
        match self {
            Self::Instance => Refusal::bad("InvalidDBInstanceState", message),
            Self::Cluster => Refusal::bad("InvalidDBClusterStateFault", message),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Database {
    pub kind: Kind,
    /// `DbiResourceId` or `DbClusterResourceId`: stays, whatever the name is.
    pub id: String,
    /// Under which it is listed. None: it is renamed just now, or not listed yet.
    pub name: Option<String>,
    /// The names that nothing else can have: its own, one that it is to have, and for a moment one that it had.
    pub(super) holds: Vec<String>,
    pub status: String,
    /// The status when nothing is under way.
    pub(super) rest: String,
    /// As `Describe` shows them, beside the name, the status and what follows from them.
    pub attributes: Value,
    /// As `PendingModifiedValues` shows them.
    pub pending: Map<String, Value>,
    /// Parameters that were accepted for the maintenance window.
    pub(super) queued: Map<String, Value>,
    /// Of a member: the cluster's id.
    pub(super) cluster: Option<String>,
    pub(super) writer: bool,
    pub(super) created: Timestamp,
    /// Its automated backups reach back to here.
    pub(super) restorable_from: Timestamp,
    /// An accepted modification is under way until then.
    pub(super) busy_until: Option<Timestamp>,
    /// RDS is configuring monitoring or Performance Insights until then.
    pub(super) configuring_until: Option<Timestamp>,
    /// Since when it has its name.
    pub(super) named: Timestamp,
    /// Why it cannot be renamed, if so.
    pub(super) no_rename: Option<Refusal>,
}

impl Database {
    /// Identifiers know no case.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name))
    }

    /// An attribute as text: `shop.text("DBInstanceClass")`.
    pub fn text(&self, attribute: &str) -> &str {
        self.attributes[attribute].as_str().unwrap_or_default()
    }

    /// The value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        let tags = self.attributes["TagList"]["Tag"].as_array()?;
        tags.iter().find(|tag| tag["Key"] == key)?["Value"].as_str()
    }

    pub(super) fn set(&mut self, attributes: Map<String, Value>) {
        self.attributes.as_object_mut().expect("attributes are an object").extend(attributes);
    }

    /// The name that it has, or is about to have.
    pub(super) fn called(&self) -> &str {
        self.name.as_deref().or(self.holds.last().map(String::as_str)).unwrap_or_default()
    }

    /// As far back as the backtrack window and the age of the cluster allow.
    pub(super) fn earliest_backtrack(&self, now: Timestamp) -> Timestamp {
        let window = self.text("BacktrackWindow").parse().map_or(Duration::ZERO, Duration::from_secs);
        (now - window).max(self.created)
    }

    pub(super) fn is_multi_az_cluster(&self) -> bool {
        self.kind == Kind::Cluster && !self.attributes["DBClusterInstanceClass"].is_null()
    }
}

/// What happens to a database; `id`: its resource id.
#[derive(Debug, Clone)]
pub(super) enum Due {
    /// It is listed under its name for the first time, or again.
    Appear {
        id: String,
        name: String,
    },
    Vanish {
        id: String,
    },
    /// Another database may have the name.
    Free {
        id: String,
        name: String,
    },
    Status {
        id: String,
        status: String,
    },
    /// Nothing is under way any more.
    Rest {
        id: String,
    },
    /// What it is when nothing is under way, from now on.
    RestAs {
        id: String,
        status: String,
    },
    /// Modified values are in force.
    Set {
        id: String,
        attributes: Map<String, Value>,
        no_longer_pending: Vec<String>,
    },
    /// A snapshot is complete.
    Stored {
        name: String,
    },
    /// A member is the writer.
    Write {
        cluster: String,
        member: String,
    },
    Backtracked {
        id: String,
        status: &'static str,
    },
    /// The record of a blue/green deployment is gone.
    Dissolved {
        id: String,
    },
}

impl Rds {
    pub(super) fn happen(&mut self, at: Timestamp, due: Due, _place: &Place) {
        match due {
            Due::Stored { name } => self.complete(&name),
            Due::Write { cluster, member } => self.make_writer(&cluster, &member),
            Due::Dissolved { id } => self.deployments.retain(|found| found.id != id),
            Due::Backtracked { id, status } => {
                if let Some(found) = self.backtracks.iter_mut().find(|found| found.id == id) {
                    found.status = status;
                }
            }
            Due::Appear { id, name } => {
                let Some(found) = self.by_id(&id) else { return };
                (found.name, found.named) = (Some(name.clone()), at);
                let kind = found.kind;
                self.names.push((at, kind, name, true));
            }
            Due::Vanish { id } => {
                let Some(found) = self.by_id(&id) else { return };
                let (kind, name) = (found.kind, found.name.take());
                self.names.extend(name.map(|name| (at, kind, name, false)));
            }
            Due::Free { id, name } => {
                let Some(found) = self.by_id(&id) else { return };
                found.holds.retain(|held| *held != name);
            }
            Due::Status { id, status } => {
                let Some(found) = self.by_id(&id) else { return };
                found.status = status;
            }
            Due::Rest { id } => {
                let Some(found) = self.by_id(&id) else { return };
                found.status = found.rest.clone();
            }
            Due::RestAs { id, status } => {
                let Some(found) = self.by_id(&id) else { return };
                if found.status == found.rest {
                    found.status.clone_from(&status);
                }
                found.rest = status;
            }
            Due::Set { id, attributes, no_longer_pending } => {
                let Some(found) = self.by_id(&id) else { return };
                found.set(attributes);
                for name in no_longer_pending {
                    found.pending.remove(&name);
                }
            }
        }
    }

    pub(super) fn by_id(&mut self, id: &str) -> Option<&mut Database> {
        self.databases.iter_mut().find(|found| found.id == id)
    }

    pub(super) fn is_taken(&self, kind: Kind, name: &str) -> bool {
        let mut of_kind = self.databases.iter().filter(|found| found.kind == kind);
        of_kind.any(|found| found.holds.iter().any(|held| held.eq_ignore_ascii_case(name)))
    }

    /// What a call that changes something finds under a name: for a moment after a rename not what lists show already.
    pub(super) fn found(&self, kind: Kind, name: &str, now: Timestamp) -> Result<&Database, Refusal> {
        let found = self.database(kind, name).filter(|found| now >= found.named + self.pace.spread);
        found.ok_or_else(|| kind.not_found(name))
    }

    /// The members of a cluster, the writer first.
    pub fn members<'a>(&'a self, cluster: &'a str) -> impl Iterator<Item = &'a Database> {
        let all = || self.databases.iter().filter(move |found| found.cluster.as_deref() == Some(cluster));
        all().filter(|found| found.writer).chain(all().filter(|found| !found.writer))
    }

    /// Places something new: it is listed a little later, and goes through these states.
    pub(super) fn place_new(&mut self, database: Database, now: Timestamp, states: &[(&str, Duration)]) {
        let (id, name) = (database.id.clone(), database.holds[0].clone());
        let listed = now + self.pace.listed;
        self.agenda.at(listed, Due::Appear { id: id.clone(), name });
        self.databases.push(database);
        let until = self.go_through(&id, now, states);
        self.agenda.at(until, Due::Rest { id });
    }

    /// Schedules one state after the other, and says when the last one ends.
    pub(super) fn go_through(&mut self, id: &str, begin: Timestamp, states: &[(&str, Duration)]) -> Timestamp {
        let mut at = begin;
        for (status, lasts) in states {
            self.agenda.at(at, Due::Status { id: id.to_owned(), status: (*status).to_owned() });
            at += *lasts;
        }
        if let Some(found) = self.by_id(id) {
            found.busy_until = Some(at);
        }
        at
    }

    /// Sends a database through a state, whatever it does otherwise: a backup in the night, a reboot by somebody.
    pub fn passes_through(&mut self, kind: Kind, name: &str, status: &str, from: Timestamp, lasts: Duration) {
        let id = self.database(kind, name).unwrap_or_else(|| panic!("there is no {name}")).id.clone();
        self.agenda.at(from, Due::Status { id: id.clone(), status: status.to_owned() });
        self.agenda.at(from + lasts, Due::Rest { id });
    }

    /// Puts a database into a state that does not pass by itself: `stopped`, `storage-full`, `incompatible-network`.
    pub fn stays(&mut self, kind: Kind, name: &str, status: &str) {
        let found = self.databases.iter_mut().find(|found| found.kind == kind && found.is_called(name));
        let found = found.unwrap_or_else(|| panic!("there is no {name}"));
        (found.status, found.rest) = (status.to_owned(), status.to_owned());
    }
}
