//! The account as a source: what it contains, read by read-only clients.

use std::sync::Arc;

use belay_aws::{
    discover::{Discovery, Found, Group},
    session::{Aws, SessionError},
};
use belay_draft::{
    choice::{Choice, Kind, NONE, Wanted, balancers_in_question},
    inventory::{Inventory, Source},
    text::destinations,
};
use belay_ports::{Access, Clock, ReadError};

use super::progress::Progress;
use crate::{
    assembly::gate,
    clock::SystemClock,
    exit::{Exit, Failure},
    output::Output,
    problem::account_failure,
};

pub(crate) struct Account {
    discovery: Discovery,
    clock: Arc<dyn Clock>,
    progress: Progress,
}

impl Account {
    /// The account of the credentials in use.
    pub(crate) async fn open(region: Option<&str>, output: Output) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let aws = Aws::new(Access::ReadOnly, clock.clone(), Arc::new(()), gate(output)?.plain_http());
        let progress = Progress::new(output);
        let discovery = Discovery::start(&aws, region, progress.teller()).await.map_err(|error| match error {
            SessionError::Account(error) => account_failure(error),
            // There is no plan yet that could name it.
            SessionError::NoRegion => Failure::message(Exit::Usage, "no AWS region is known")
                .help("name it: `--region eu-west-1`, AWS_REGION in the environment, or `region` in the profile"),
        })?;
        for detour in aws.detours() {
            output.note(format_args!("note: {detour}"));
        }
        Ok(Self { discovery, clock, progress })
    }

    /// What there is to choose from.
    pub(crate) async fn look(&self, wanted: &Wanted) -> Result<Inventory, Failure> {
        self.progress.shown(self.look_around(wanted)).await
    }

    async fn look_around(&self, wanted: &Wanted) -> Result<Inventory, Failure> {
        let discovery = &self.discovery;
        let mut inventory = Inventory {
            source: Source::Account { at: self.clock.now() },
            account: Some(discovery.account().to_owned()),
            region: Some(discovery.region().to_owned()),
            ..Inventory::default()
        };
        let is_out = |flags: &[String]| matches!(flags, [only] if only == NONE);
        if !is_out(&wanted.records) {
            let found = discovery.records(&wanted.records).await;
            inventory.records = found_of(found, Kind::Record, &wanted.records, &mut inventory.notes)?;
        }
        // Those behind a record show whether its old side is healthy, also where no listener is part of the plan.
        if !is_out(&wanted.listeners) || !inventory.records.is_empty() {
            let found = discovery.balancers().await;
            inventory.balancers = found_of(found, Kind::Listener, &wanted.listeners, &mut inventory.notes)?;
            let balancers = balancers_in_question(&inventory, wanted);
            let found = discovery.forwarders(&balancers).await;
            inventory.forwarders = found_of(found, Kind::Listener, &wanted.listeners, &mut inventory.notes)?;
        }
        if !is_out(&wanted.databases) {
            let found = discovery.databases().await;
            inventory.databases = found_of(found, Kind::Database, &wanted.databases, &mut inventory.notes)?;
        }
        if !is_out(&wanted.alarms) {
            let found = discovery.alarms().await;
            inventory.alarms = found_of(found, Kind::Alarm, &wanted.alarms, &mut inventory.notes)?;
        }
        Ok(inventory)
    }

    /// What is asked only about what is chosen.
    pub(crate) async fn look_closer(&self, inventory: &mut Inventory, choice: &Choice) {
        let discovery = &self.discovery;
        let look = async {
            let (groups, notes) = discovery.health(&destinations(inventory, choice)).await;
            for Group { arn, health, targets } in groups {
                inventory.health.insert(arn.clone(), health);
                inventory.targets.insert(arn, targets);
            }
            inventory.notes.extend(notes);
            for index in &choice.databases {
                let (backups, notes) = discovery.backups(&inventory.databases[*index]).await;
                inventory.databases[*index].backups = backups;
                inventory.notes.extend(notes);
            }
        };
        self.progress.shown(look).await;
    }
}

/// What could not be read for good, and nobody has asked for, is a note: a person may not be allowed to see everything.
fn found_of<T>(
    found: Result<Found<T>, ReadError>,
    kind: Kind,
    wanted: &[String],
    notes: &mut Vec<String>,
) -> Result<Vec<T>, Failure> {
    match found {
        Ok(found) => {
            notes.extend(found.notes);
            Ok(found.items)
        }
        Err(error) if error.permanent && wanted.is_empty() => {
            notes.push(format!("not read: {}", error.why));
            Ok(Vec::new())
        }
        Err(error) => {
            let help = match error.permanent {
                true => format!(
                    "correct the permissions (deploy/README.md lists what `init` needs), or leave this out: `{} {NONE}`",
                    kind.flag()
                ),
                false => "run it again".to_owned(),
            };
            Err(Failure::message(Exit::Unexpected, error.why).help(help))
        }
    }
}
