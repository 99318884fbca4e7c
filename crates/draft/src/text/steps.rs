//! What is put back, in which order, and why.

use std::collections::BTreeSet;

use super::{
    Draw,
    signals::Signals,
    targets,
    words::{duration, list, time},
};
use crate::{
    inventory::{Backups, Database, Forwarder, ForwarderKind, Member, Record, group_name},
    names::Names,
    related::{Proof, behind, carriers, proof, with_traffic},
    yaml::{comment, scalar},
};

/// The names of the plan's steps.
pub(super) struct Steps {
    pub(super) return_to_baseline: bool,
    pub(super) loses_data: bool,
    /// By index, in the order of the choice.
    forwarders: Vec<(usize, String)>,
    /// By the index of the forwarder whose only group they are in.
    targets: Vec<(usize, String)>,
    records: Vec<(usize, String)>,
    databases: Vec<(usize, String)>,
}

const STOP_WRITERS: &str = "stop_writers";
const START_WRITERS: &str = "start_writers";

/// Why data goes before traffic.
const ORDER: &str = "Before the traffic: what customers wrote on the old side before this would be lost with it.";

impl Steps {
    pub(super) fn of(draw: &Draw<'_>) -> Self {
        let Draw { inventory, choice } = draw;
        let mut names = Names::default();
        for own in [STOP_WRITERS, START_WRITERS] {
            names.of(own, "", own);
        }
        let databases = choice.databases.iter().filter(|index| can_be_restored(&inventory.databases[**index]));
        let databases: Vec<(usize, String)> = databases
            .map(|index| (*index, names.of(&inventory.databases[*index].name, "_back", "database_back")))
            .collect();
        let mut step = |alone: &str, several: String, count: usize| match count {
            1 => names.of(alone, "", alone),
            _ => names.of(&several, "_back", alone),
        };
        let forwarders = choice.forwarders.iter().map(|index| {
            let forwarder = &inventory.forwarders[*index];
            let alone = match forwarder.kind {
                ForwarderKind::Listener => "listener_back",
                ForwarderKind::Rule { .. } => "rule_back",
            };
            let kind = if forwarder.kind == ForwarderKind::Listener { "listener" } else { "rule" };
            (*index, step(alone, format!("{kind} {}", forwarder.label()), choice.forwarders.len()))
        });
        let forwarders = forwarders.collect();
        let by_hand = |index: &&usize| {
            targets::of(draw, &inventory.forwarders[**index]).is_some_and(|(_, targets)| targets.by_hand)
        };
        let mut groups = BTreeSet::new();
        let of_groups: Vec<usize> = choice
            .forwarders
            .iter()
            .filter(by_hand)
            .filter(|index| groups.insert(inventory.forwarders[**index].only_group()))
            .copied()
            .collect();
        let count = of_groups.len();
        let targets = of_groups.into_iter().map(|index| {
            let group = inventory.forwarders[index].only_group().map_or("", group_name);
            (index, step("targets_back", format!("targets {group}"), count))
        });
        let targets = targets.collect();
        let records = choice.records.iter().map(|index| {
            let record = &inventory.records[*index];
            (*index, step("dns_back", format!("dns {} {}", record.name, record.kind), choice.records.len()))
        });
        let records: Vec<(usize, String)> = records.collect();
        Self {
            return_to_baseline: !choice.forwarders.is_empty() || !records.is_empty(),
            loses_data: !databases.is_empty(),
            forwarders,
            targets,
            records,
            databases,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.forwarders.is_empty() && self.records.is_empty() && self.databases.is_empty()
    }

    pub(super) fn section(&self, draw: &Draw<'_>, signals: &Signals, not_known: &mut Vec<String>) -> String {
        let inventory = draw.inventory;
        let mut text = "steps:\n".to_owned();
        for index in &draw.choice.databases {
            if self.databases.iter().all(|(own, _)| own != index) {
                text += &without_source(&inventory.databases[*index], not_known);
            }
        }
        text += &self.stop_writers(draw, not_known);
        for (index, name) in &self.databases {
            text += &restore(&inventory.databases[*index], name, signals.of_database(*index), not_known);
        }
        text += &self.stages(draw);
        for (index, name) in &self.targets {
            let Some((arn, known)) = targets::of(draw, &inventory.forwarders[*index]) else { continue };
            text += &targets::step(arn, known, name, &self.needs(&[]), signals.of_group(arn));
        }
        for (index, name) in &self.forwarders {
            let forwarder = &inventory.forwarders[*index];
            if let Some((arn, known)) = targets::of(draw, forwarder).filter(|(_, known)| !known.by_hand) {
                text += &targets::not_drafted(arn, known, not_known);
            }
            text += &self.forward(draw, forwarder, name, signals);
        }
        for (index, name) in &self.records {
            text += &self.weights(draw, &inventory.records[*index], name, signals, not_known);
        }
        text + &self.start_writers()
    }

    fn names(steps: &[(usize, String)]) -> Vec<&str> {
        steps.iter().map(|(_, name)| name.as_str()).collect()
    }

    fn stop_writers(&self, draw: &Draw<'_>, not_known: &mut Vec<String>) -> String {
        if self.databases.is_empty() {
            return String::new();
        }
        let named = self.databases.iter().map(|(index, _)| draw.inventory.databases[*index].name.clone());
        let databases = list(&named.collect::<Vec<_>>());
        not_known.push(format!("what writes to {databases}, and how it is stopped (step `{STOP_WRITERS}`)"));
        let why = comment(
            2,
            "What is written while a database is restored is lost. A person stops the writers, and says so with `belay approve`: no \
             data is lost before that. TODO: write down what to stop, and how; `approve: { role: operator, within: DURATION }` sets a deadline.",
        );
        let instructions = format!("Stop everything that writes to {databases}.");
        let fences = Self::names(&self.databases).join(", ");
        format!(
            "{why}  {STOP_WRITERS}:\n    action: manual\n    with: {{ instructions: {} }}\n    fences: [{fences}]\n",
            scalar(&instructions)
        )
    }

    fn start_writers(&self) -> String {
        if self.databases.is_empty() {
            return String::new();
        }
        let traffic = [Self::names(&self.targets), Self::names(&self.forwarders), Self::names(&self.records)].concat();
        let before = if traffic.is_empty() { Self::names(&self.databases) } else { traffic };
        let why = comment(2, "The writers that were stopped start again, on the side that has the traffic now.");
        format!(
            "{why}  {START_WRITERS}:\n    needs: [{}]\n    action: manual\n    with: {{ instructions: {} }}\n",
            before.join(", "),
            scalar("Start again what was stopped, on the old side alone.")
        )
    }

    fn forward(&self, draw: &Draw<'_>, forwarder: &Forwarder, name: &str, signals: &Signals) -> String {
        let shares = forwarder.groups.iter().map(|share| format!("{} {}", group_name(&share.arn), share.weight));
        let shares = list(&shares.collect::<Vec<_>>());
        let (what, key) = match &forwarder.kind {
            ForwarderKind::Listener => ("The default action of listener", "listener"),
            ForwarderKind::Rule { .. } => ("Rule", "rule"),
        };
        let protocol = forwarder.protocol.as_ref().map(|protocol| format!(" ({protocol})")).unwrap_or_default();
        let mut text = comment(
            2,
            &format!("{what} {}{protocol}. The weights when this was written: {shares}.", forwarder.label()),
        );
        if let Some(seconds) = forwarder.sticky_s.and_then(|seconds| u64::try_from(seconds).ok()) {
            text += &comment(
                2,
                &format!(
                    "Group stickiness keeps clients where they are for up to {}. `stickiness: suspend` in `with` ends that with the \
                     swap; it takes a `timeout` longer than that.",
                    duration(seconds)
                ),
            );
        }
        let gates: BTreeSet<&str> = with_traffic(forwarder).filter_map(|arn| signals.of_group(arn)).collect();
        text += &format!("  {name}:\n{}", self.needs(&self.targets));
        text +=
            &format!("    action: alb.forward\n    with: {{ {key}: {} }}\n    to: baseline\n", scalar(&forwarder.arn));
        text + &gated(&gates, signals, draw)
    }

    fn weights(
        &self,
        draw: &Draw<'_>,
        record: &Record,
        name: &str,
        signals: &Signals,
        not_known: &mut Vec<String>,
    ) -> String {
        let inventory = draw.inventory;
        let members = record.members.iter().map(|member| format!("{} {}", member.set_identifier, member.weight));
        let zone = record.zone_name.as_ref().map(|zone| format!(" in zone {zone}")).unwrap_or_default();
        let mut text = comment(
            2,
            &format!(
                "The weighted record {} {}{zone}. The weights when this was written: {}.",
                record.name,
                record.kind,
                list(&members.collect::<Vec<_>>())
            ),
        );
        let proof = proof(inventory, draw.choice, record);
        let gates: BTreeSet<&str> = match &proof {
            Proof::Groups(groups) | Proof::Beside(groups) => {
                groups.iter().filter_map(|arn| signals.of_group(arn)).collect()
            }
            Proof::Checks(checks) => checks.iter().filter_map(|(_, id)| signals.of_check(id)).collect(),
            Proof::None => BTreeSet::new(),
        };
        if matches!(proof, Proof::Beside(_)) {
            text += &comment(
                2,
                "The members that get traffic have health checks, which Belay asks as well: an address that their checkers do not reach gets none.",
            );
        }
        if gates.is_empty() {
            not_known.push(format!(
                "what proves that the old side of {} is healthy: without a `require`, step `{name}` fails until a person overrides it",
                record.name
            ));
            text += &comment(
                2,
                "TODO: `require` a signal that shows that the side is healthy to which this sends traffic. Without one the step fails, \
                 and a person has to override it.",
            );
        }
        let unproven = unproven(draw, record);
        if !gates.is_empty() && !unproven.is_empty() {
            let unproven = list(&unproven);
            not_known.push(format!(
                "whether what {unproven} of {} leads to is healthy: nothing that was found shows it, and `require` of step `{name}` does not",
                record.name
            ));
            text +=
                &comment(2, &format!("TODO: nothing in `require` shows whether what {unproven} leads to is healthy."));
        }
        text += &format!("  {name}:\n{}    action: route53.weights\n", self.needs(&self.targets));
        text += &format!(
            "    with: {{ zone: {}, record: {}, type: {} }}\n    to: baseline\n",
            scalar(&record.zone),
            scalar(&record.name),
            scalar(&record.kind)
        );
        text + &gated(&gates, signals, draw)
    }

    /// Traffic goes back only after the data, and `targets` before what sends traffic to them: all that waits for an alarm moves at the same
    /// time.
    fn needs(&self, targets: &[(usize, String)]) -> String {
        let needs = [Self::names(&self.databases), Self::names(targets)].concat();
        if needs.is_empty() {
            return String::new();
        }
        format!("    needs: [{}]\n", needs.join(", "))
    }

    /// In how many parts traffic goes back is for a person to decide.
    fn stages(&self, draw: &Draw<'_>) -> String {
        let weighted = self.forwarders.iter().filter(|(index, _)| draw.inventory.forwarders[*index].is_weighted());
        let names: Vec<String> = weighted.chain(&self.records).map(|(_, name)| format!("`{name}`")).collect();
        if names.is_empty() {
            return String::new();
        }
        comment(
            2,
            &format!(
                "All traffic goes back at once. `stages: [PERCENT, 100]` in {} moves it in parts, and waits after each for the step's `verify`, which then has to show the \
                 side that gets it.",
                list(&names)
            ),
        )
    }
}

/// The members that get traffic and lead to no known load balancer, nor have a health check.
fn unproven(draw: &Draw<'_>, record: &Record) -> Vec<String> {
    let carries = carriers(record.members.iter().map(|member| member.weight));
    let members =
        record.members.iter().zip(carries).filter(|(member, carries)| *carries && member.health_check.is_none());
    let alone = |member: &Member| Record { members: vec![member.clone()], ..record.clone() };
    let unknown = members.filter(|(member, _)| behind(draw.inventory, &alone(member), false).is_empty());
    unknown.map(|(member, _)| member.set_identifier.clone()).collect()
}

/// Never onto a side that is not healthy; and done only when the alarms say so. All traffic moves at the same time, so no step
/// waits for an alarm that another one has to turn first.
fn gated(gates: &BTreeSet<&str>, signals: &Signals, draw: &Draw<'_>) -> String {
    let require = match gates.is_empty() {
        true => String::new(),
        false => format!("    require: [{}]\n", gates.iter().copied().collect::<Vec<_>>().join(", ")),
    };
    let verify = signals.alarm_gates(draw);
    match verify.is_empty() {
        true => require,
        false => format!("{require}    verify: [{}]\n", verify.join(", ")),
    }
}

pub(super) fn can_be_restored(database: &Database) -> bool {
    let Database { backups, .. } = database;
    backups.switches_back.is_some() || backtrack_window(database).is_some() || source(backups).is_some()
}

/// How far back a cluster can be wound in place. Of a blue/green deployment, the other side is asked about first.
fn backtrack_window(database: &Database) -> Option<u64> {
    let Backups { backtrack_window_s, other_side_of, .. } = &database.backups;
    let window = backtrack_window_s.and_then(|seconds| u64::try_from(seconds).ok())?;
    (window > 0 && database.cluster && other_side_of.is_empty()).then_some(window)
}

/// In place and within minutes, where a restore takes as long as the data is large.
fn backtrack(database: &Database, window: u64, name: &str, available: &str, not_known: &mut Vec<String>) -> String {
    let Database { name: cluster, engine, backups, .. } = database;
    let engine = if engine.is_empty() { String::new() } else { format!(" ({engine})") };
    let window = duration(window);
    let mut text = comment(
        2,
        &format!(
            "The cluster {cluster}{engine}, wound back in place to the moment that `belay cutover` marks; a snapshot keeps what was written \
             since, which is lost to the application. It reaches {window} back: its backtrack window."
        ),
    );
    text += &comment(2, &format!("{ORDER} If the old side works with the database as it is, remove this step."));
    if let Some(from) = source(backups) {
        text += &comment(
            2,
            &format!(
                "A rollback that may come later than that needs a restore instead: `action: rds.restore` with `{{ cluster: {cluster}, from: \
                 {from} }}`."
            ),
        );
    }
    not_known.push(format!(
        "whether the binary log of {cluster} is on: RDS refuses to wind it back then, unless `with` of step `{name}` has `force: true`"
    ));
    text + &format!(
        "  {name}:\n    needs: [{STOP_WRITERS}]\n    action: rds.backtrack\n    with: {{ cluster: {}, time: cutover }}\n    \
         loses_data: true\n    verify: [{available}]\n",
        scalar(cluster)
    )
}

/// What a database is restored from, as YAML; None where there is nothing.
fn source(backups: &Backups) -> Option<String> {
    match (backups.point_in_time, &backups.snapshot) {
        (Some(false), Some(snapshot)) => Some(format!("{{ snapshot: {} }}", scalar(&snapshot.name))),
        (Some(false), None) => None,
        _ => Some("{ time: cutover }".to_owned()),
    }
}

fn without_source(database: &Database, not_known: &mut Vec<String>) -> String {
    not_known.push(format!(
        "how {} is put back: its automated backups are off, and it has no snapshot that is available. Take one, then run `belay \
         init` again",
        database.name
    ));
    comment(
        2,
        &format!(
            "not known: how the database {} is put back. Its automated backups are off, and it has no snapshot that is available.",
            database.name
        ),
    )
}

/// The database of a blue/green deployment: RDS renames no member of one, so it cannot be restored under its name.
fn switch_back(database: &Database, deployment: &str, name: &str, available: &str) -> String {
    let kind = if database.cluster { "cluster" } else { "instance" };
    let why = comment(
        2,
        &format!(
            "The {kind} {} is production in the blue/green deployment {deployment}. After its switchover this returns to the old blue: what \
             was written since stays in green. Before it, nothing is done. Arm before the switchover.",
            database.name
        ),
    );
    let order = comment(2, &format!("{ORDER} If the old side works with green, remove this step."));
    format!(
        "{why}{order}  {name}:\n    needs: [{STOP_WRITERS}]\n    action: rds.switch_back\n    with: {{ {kind}: {} }}\n    loses_data: true\n    \
         verify: [{available}]\n",
        scalar(&database.name)
    )
}

fn restore(database: &Database, name: &str, available: &str, not_known: &mut Vec<String>) -> String {
    let Database { cluster, name: database_name, engine, backups, .. } = database;
    if let Some(deployment) = &backups.switches_back {
        return switch_back(database, deployment, name, available);
    }
    if let Some(window) = backtrack_window(database) {
        return backtrack(database, window, name, available, not_known);
    }
    let kind = if *cluster { "cluster" } else { "instance" };
    let engine = if engine.is_empty() { String::new() } else { format!(" ({engine})") };
    let mut text = comment(
        2,
        &format!(
            "The {kind} {database_name}{engine}, restored under its own name; the replaced one is kept under another. What was written \
             since is lost to the application."
        ),
    );
    text += &comment(2, &format!("{ORDER} If the old side works with the database as it is, remove this step."));
    text += &origin(database, not_known);
    if !backups.other_side_of.is_empty() {
        let deployments = list(&backups.other_side_of);
        not_known.push(format!(
            "whether {database_name} is the database to put back: it is the side of the blue/green deployment {deployments} that clients do \
             not use, and RDS renames no member of one"
        ));
        text += &comment(
            2,
            &format!(
                "TODO: it is the side of the blue/green deployment {deployments} that clients do not use, and RDS renames no member of one. \
                 Is it the database to put back?"
            ),
        );
    }
    let from = source(backups).expect("a database without a source has no step");
    text + &format!(
        "  {name}:\n    needs: [{STOP_WRITERS}]\n    action: rds.restore\n    with: {{ {kind}: {}, from: {from} }}\n    \
         loses_data: true\n    verify: [{available}]\n",
        scalar(database_name)
    )
}

/// What is known of the backups, and so why it is restored from this one.
fn origin(database: &Database, not_known: &mut Vec<String>) -> String {
    let backups = &database.backups;
    let taken = backups.snapshot.as_ref().map(|snapshot| {
        let taken = snapshot.taken.map_or("of a time that is not known".to_owned(), |at| format!("of {}", time(at)));
        format!("{} {taken}", snapshot.name)
    });
    match (backups.point_in_time, taken) {
        (Some(true), snapshot) => {
            let reach = match (backups.earliest_restorable, backups.latest_restorable) {
                (Some(earliest), Some(latest)) => format!(" reach from {} to {}", time(earliest), time(latest)),
                (None, Some(latest)) => format!(" reach up to {}", time(latest)),
                _ => " are on".to_owned(),
            };
            let or = snapshot.map(|snapshot| {
                format!(" Or from a snapshot: `from: {{ snapshot: NAME }}`; the newest is {snapshot}.")
            });
            comment(
                2,
                &format!(
                    "`time: cutover` is the moment that `belay cutover` marks, so the least is lost. Its automated backups{reach}.{}",
                    or.unwrap_or_default()
                ),
            )
        }
        (Some(false), Some(snapshot)) => {
            not_known.push(format!(
                "whether the snapshot {snapshot} is recent enough to return to: take one right before the cutover, and name it in the plan"
            ));
            comment(
                2,
                &format!(
                    "TODO: its automated backups are off, and its newest snapshot is {snapshot}. All that was written since would be \
                     lost: take one right before the cutover, and name it here."
                ),
            )
        }
        _ => {
            not_known.push(format!("whether automated backups of {} are on, and what they reach", database.name));
            comment(2, "not known: whether its automated backups are on. Without them it cannot be restored to a time.")
        }
    }
}
