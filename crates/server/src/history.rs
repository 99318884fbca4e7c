//! Runs and incidents that the state has forgotten, read from the journal for whoever asks.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use belay_core::{
    id::{IncidentId, RunId},
    incident::Incident,
    run::Run,
};
use belay_engine::{OpenError, forgotten};

use crate::{daemon::Daemon, guard::Guard};

impl Daemon {
    /// A run that the state of its migration has forgotten.
    pub(crate) async fn forgotten_run(&self, id: &RunId) -> Result<Option<(Arc<Guard>, Arc<Run>)>, OpenError> {
        for guard in self.guards() {
            if guard.snapshot().state.forgotten.last_run.as_ref() >= Some(id) {
                let mut found = self.forgotten_runs(&guard, 1, |run| run.id == *id).await?;
                if let Some(run) = found.pop() {
                    return Ok(Some((guard, run)));
                }
            }
        }
        Ok(None)
    }

    /// An incident that the state of its migration has forgotten.
    pub(crate) async fn forgotten_incident(
        &self,
        id: &IncidentId,
    ) -> Result<Option<(Arc<Guard>, Arc<Incident>)>, OpenError> {
        for guard in self.guards() {
            if guard.snapshot().state.forgotten.last_incident.as_ref() >= Some(id) {
                let mut found = self.forgotten_incidents(&guard, 1, |incident| incident.id == *id).await?;
                if let Some(incident) = found.pop() {
                    return Ok(Some((guard, incident)));
                }
            }
        }
        Ok(None)
    }

    /// The latest of the forgotten runs that are asked for, at most so many.
    pub(crate) async fn forgotten_runs(
        &self,
        guard: &Guard,
        most: usize,
        is_wanted: impl Fn(&Run) -> bool + Send + Sync,
    ) -> Result<Vec<Arc<Run>>, OpenError> {
        let mut found = BTreeMap::new();
        let _one_at_a_time = self.reading_history().await;
        forgotten(self.ports().journal.as_ref(), guard.name(), |forgotten| {
            let wanted = forgotten.runs.into_iter().filter(|run| is_wanted(run));
            found.extend(wanted.map(|run| (run.id.clone(), run)));
            while found.len() > most {
                found.pop_first();
            }
            ControlFlow::Continue(())
        })
        .await?;
        Ok(found.into_values().collect())
    }

    /// The latest of the forgotten incidents that are asked for, at most so many.
    pub(crate) async fn forgotten_incidents(
        &self,
        guard: &Guard,
        most: usize,
        is_wanted: impl Fn(&Incident) -> bool + Send + Sync,
    ) -> Result<Vec<Arc<Incident>>, OpenError> {
        let mut found = BTreeMap::new();
        let _one_at_a_time = self.reading_history().await;
        forgotten(self.ports().journal.as_ref(), guard.name(), |forgotten| {
            let wanted = forgotten.incidents.into_iter().filter(|incident| is_wanted(incident));
            found.extend(wanted.map(|incident| (incident.id.clone(), incident)));
            while found.len() > most {
                found.pop_first();
            }
            ControlFlow::Continue(())
        })
        .await?;
        Ok(found.into_values().collect())
    }
}
