//! How far a switch back has come, read off which database has which name. Pure.
//!
//! ```text
//! NAME    NAME-oldN   NAME-failed-RUN
//! blue    -           -                 in place: nothing was switched over
//! green   blue        -                 with a deployment: a person deletes its record; without: rename_green
//! -       blue        green             rename_blue: nothing answers to the name until it is done
//! blue    -           green             in place
//! ```

use std::time::Duration;

use belay_core::change::{Assessment, Change, Effect, Outcome, Receipt, Repeats, Report};
use belay_ports::{Check, RestorePoint, Scope};
use serde_json::json;

use super::{
    super::{
        super::{
            led::{self, Swap},
            proxies::Swapped,
            sent::Sent,
            status::{Phase, phase},
        },
        settling, verdict,
    },
    Kind, Names, With, by_hand,
    calls::{Call, MODIFY_CLUSTER, MODIFY_INSTANCE},
    identity::old_blue,
    led_earlier,
    state::{Deployment, Found, Id, State},
};

pub(super) const RENAME_GREEN: &str = "rename_green";
pub(super) const RENAME_BLUE: &str = "rename_blue";

/// The check of the old blue.
const OLD_BLUE: &str = "old_blue";

/// A rename reboots; AWS gives no figure.
const RENAME_EXPECTED: Duration = Duration::from_secs(3 * 60);
/// A rename shows within this time. In its middle the database is listed under neither name.
const SHOWN_WITHIN: Duration = Duration::from_secs(10 * 60);

/// Everything that an assessment looks at.
pub(super) struct View<'a> {
    scope: &'a Scope,
    names: Names,
    now: &'a State,
    armed: Option<&'a State>,
    before: Option<&'a State>,
    sent: Sent<'a>,
}

impl<'a> View<'a> {
    /// `before`: what was found before the first send of the run.
    pub(super) fn new(
        scope: &'a Scope,
        with: &With,
        now: &'a State,
        armed: Option<&'a State>,
        before: Option<&'a State>,
        receipts: &'a [Receipt],
    ) -> Self {
        let sent = Sent { sends: &scope.sent, receipts, looked: now.looked };
        Self { scope, names: Names::new(scope, with), now, armed, before, sent }
    }

    pub(super) fn assess(&self) -> Assessment {
        let name = &self.names.production;
        if let Some(twice) = self.now.listed_twice() {
            return settling(format!("{twice} is being renamed: it is listed under two names"));
        }
        let sides: Vec<&Found> = self.now.databases.iter().collect();
        if let Some(deployment) = self.now.deployments_of(&sides).find(|one| one.status == "SWITCHOVER_IN_PROGRESS") {
            return settling(format!(
                "AWS is switching {name} over (deployment {}); should that not end in its time, AWS itself goes back to blue",
                deployment.id
            ));
        }
        let first = self.before.unwrap_or(self.now);
        let blue = match old_blue(self.scope, &self.names, first, self.armed) {
            Ok(blue) => blue,
            Err(why) => return Assessment::Ambiguous { why },
        };
        match (self.now.of(&blue), self.now.called(name)) {
            (Some(blue), Some(holder)) if blue.id == holder.id => self.back(blue),
            (Some(blue), Some(green)) => self.swap(blue, green),
            (Some(blue), None) => self.between(blue),
            (None, _) if self.sent.perhaps(RENAME_BLUE, SHOWN_WITHIN) => {
                settling(format!("the old blue is being renamed to {name}: it is listed under neither name"))
            }
            (None, None) if self.sent.perhaps(RENAME_GREEN, SHOWN_WITHIN) => {
                settling(format!("green is being renamed to {}, and the old blue is not listed", self.names.failed))
            }
            (None, Some(_)) => verdict(format!(
                "the old blue of {name}, {blue}, is listed under no name: it was deleted; restore from a snapshot with \
                 `rds.restore`"
            )),
            (None, None) => {
                verdict(format!("neither {name} nor its old blue, {blue}, is listed; look for them in the RDS console"))
            }
        }
    }

    /// The old blue has the name of production.
    fn back(&self, blue: &Found) -> Assessment {
        let swap = Swap { rename: RENAME_BLUE, by: "the old blue", more: "" };
        led::confirmed(&self.sent, &swap, &led_earlier(self.scope), self.now.led.as_ref(), self.named(blue))
    }

    fn named(&self, blue: &Found) -> Assessment {
        if let Some(waiting) = unfit(blue) {
            return waiting;
        }
        let Some(green) = self.before.and_then(|before| before.called(&self.names.production)) else {
            return Assessment::InPlace;
        };
        let green = self.now.of(&green.id).unwrap_or(green);
        let Names { production, failed, .. } = &self.names;
        if let Some(moving) = self.proxies().remaining(&self.now.proxied, &self.sent) {
            return moving;
        }
        let differences = self.proxies().differences(&self.now.proxied);
        if !differences.is_empty() {
            let differences = differences.join("; ");
            return Assessment::Differs {
                why: format!("{blue} is production again, but {differences}. Set that right and retry, or skip"),
            };
        }
        let replicas = green.replicas.iter().chain(&green.cluster_replicas).cloned().collect::<Vec<_>>().join(", ");
        if !replicas.is_empty() {
            let instances = by_hand::renames(self.scope, Kind::Instance, &green.replicas, &blue.replicas);
            let clusters = by_hand::renames(self.scope, Kind::Cluster, &green.cluster_replicas, &blue.cluster_replicas);
            let renames = instances.into_iter().chain(clusters).collect::<Vec<_>>().join("; ");
            return Assessment::Differs {
                why: format!(
                    "{blue} is production again, but {replicas} replicate from {failed} and keep the names of production's \
                     replicas: whatever reads from them reads data of after the switchover. Let them change names ({renames}), or point \
                     their readers at {production}; then `belay skip`"
                ),
            };
        }
        let members = match green.members.as_slice() {
            [] => String::new(),
            members => format!(
                " Not moved: {}, members of {failed}, keep their names. Whatever connects to the endpoint of one reads and \
                 writes data of after the switchover: point it at {production}, or let the members change names ({})",
                members.join(", "),
                by_hand::renames(self.scope, Kind::Instance, members, &blue.members).join("; ")
            ),
        };
        let output = format!("{blue} is production again.{members}");
        Assessment::Over(Outcome { failure: None, report: Report { output, logs: String::new() } })
    }

    fn swap(&self, blue: &Found, green: &Found) -> Assessment {
        let Names { production: name, failed, .. } = &self.names;
        if let Some(assessment) = self.now.deployments_of(&[blue, green]).next().map(|one| self.in_the_way(one, blue)) {
            return assessment;
        }
        let was = self.before.and_then(|before| before.called(name));
        if let Some(was) = was.filter(|was| was.id != green.id) {
            return Assessment::Ambiguous {
                why: format!("{was} was moved to {failed}, and now {green} has its name: somebody else has made it"),
            };
        }
        if self.sent.recently(RENAME_GREEN, SHOWN_WITHIN).is_some() {
            return settling(format!("AWS accepted the new name of {green}"));
        }
        if let Some(waiting) = unfit(blue).or_else(|| unfit(green)) {
            return waiting;
        }
        let renames = [self.rename_green(green), self.rename_blue(blue)];
        Assessment::Remaining(renames.into_iter().chain(self.proxies().planned(&self.now.proxies)).collect())
    }

    /// As long as a deployment has them, RDS renames neither.
    fn in_the_way(&self, deployment: &Deployment, blue: &Found) -> Assessment {
        let Deployment { id, status, .. } = deployment;
        let delete = format!(
            "Delete the deployment, which deletes neither database (aws rds delete-blue-green-deployment \
             --blue-green-deployment-identifier {id}), then `belay retry`"
        );
        let name = &self.names.production;
        match status.as_str() {
            "DELETING" => settling(format!("the deployment {id} of {name} is being deleted")),
            "SWITCHOVER_COMPLETED" => verdict(format!(
                "the switchover of {name} is complete, and AWS has no way back: as long as the deployment {id} exists, the \
                 old blue {} takes no writes. {delete}",
                blue.name
            )),
            _ => verdict(format!(
                "{name} is not the old blue, which is {blue}, and belongs to the deployment {id} (status {status}): RDS \
                 renames nothing of a deployment. {delete}"
            )),
        }
    }

    /// Nothing has the name of production.
    fn between(&self, blue: &Found) -> Assessment {
        let Names { production: name, failed, .. } = &self.names;
        if self.sent.recently(RENAME_BLUE, SHOWN_WITHIN).is_some() {
            return settling(format!("AWS accepted the new name of {blue}"));
        }
        let green = self.before.and_then(|before| before.called(name));
        if green.is_some_and(|green| self.now.of(&green.id).is_none()) && self.sent.perhaps(RENAME_GREEN, SHOWN_WITHIN)
        {
            return settling(format!("green is being renamed to {failed}: it is listed under neither name"));
        }
        unfit(blue).unwrap_or_else(|| Assessment::Remaining(vec![self.rename_blue(blue)]))
    }

    fn proxies(&self) -> Swapped<'_> {
        let Names { kind, production, failed, .. } = &self.names;
        Swapped { kind: (*kind).into(), replaced: failed, restored: production }
    }

    fn rename_green(&self, green: &Found) -> Change {
        let Names { production, failed, .. } = &self.names;
        // Since the switchover, which the mark of the cutover stands for.
        let since = self.scope.cutover;
        let effects = [Effect::LosesData { since }, Effect::Outage { expected: RENAME_EXPECTED * 2 }];
        let effects = effects.into_iter().chain(applies(green)).collect();
        let keeps = Some(match self.names.kind {
            Kind::Instance => failed.clone(),
            Kind::Cluster => format!("cluster {failed}"),
        });
        Change { keeps, ..rename(RENAME_GREEN, self.names.kind, production, failed, effects) }
    }

    fn rename_blue(&self, blue: &Found) -> Change {
        let effects = [Effect::Outage { expected: RENAME_EXPECTED }].into_iter().chain(applies(blue)).collect();
        rename(RENAME_BLUE, self.names.kind, &blue.name, &self.names.production, effects)
    }

    /// To which state of the data a switch back would go back.
    pub(super) fn restore_point(&self) -> RestorePoint {
        let name = &self.names.production;
        let blue = match old_blue(self.scope, &self.names, self.now, self.armed) {
            Ok(blue) => blue,
            Err(why) => return RestorePoint::unknown(why),
        };
        match (self.now.of(&blue), self.scope.cutover) {
            (Some(blue), _) if blue.name == *name => {
                let basis = format!("{name} is the old blue itself: nothing was switched over");
                RestorePoint::now(basis)
            }
            // Since the switchover, which the mark of the cutover stands for.
            (Some(blue), Some(cutover)) => {
                let basis = format!("{}, as it was at the switchover; the cutover was at {cutover:.0}", blue.name);
                RestorePoint::time(cutover, basis)
            }
            (Some(blue), None) => RestorePoint::unknown(format!(
                "{} has what was written until the switchover, and the cutover is not marked",
                blue.name
            )),
            (None, _) => RestorePoint::unknown(format!("the old blue of {name}, {blue}, is listed under no name")),
        }
    }

    /// Whether the old blue is still there, can be renamed, and is kept from a clean-up: nothing else has the data of before.
    fn kept(&self, blue: &Id) -> Vec<Check> {
        const PROTECTION: &str = "deletion_protection";
        let Names { kind, production, .. } = &self.names;
        let Some(blue) = self.now.of(blue) else {
            let check = Check::no_go(OLD_BLUE, production, format!("the old blue, {blue}, is listed under no name"))
                .wanted("the old blue, until a rollback is ruled out")
                .cure("look whether it was deleted or renamed; what is deleted can only be restored from a snapshot, with `rds.restore`");
            return vec![check];
        };
        let Found { name, status, .. } = blue;
        let mut checks = Vec::new();
        // Before the switchover it is production itself.
        if name != production {
            checks.push(match phase(status) {
                Phase::Available | Phase::Changing => Check::go(OLD_BLUE, name, format!("it is there: {status}")),
                Phase::Stuck { cure } => Check::no_go(OLD_BLUE, name, format!("it is {status}"))
                    .wanted("available: RDS renames nothing else")
                    .cure(cure),
            });
        }
        let word = if *kind == Kind::Instance { "instance" } else { "cluster" };
        checks.extend(blue.deletion_protection.map(|protected| {
            match protected {
                true => Check::go(PROTECTION, name, "deletion protection is on"),
                false => Check::warn(
                    PROTECTION,
                    name,
                    "deletion protection is off: a clean-up after the switchover could delete it",
                )
                .wanted("on until a rollback is ruled out")
                .cure(format!("aws rds modify-db-{word} --db-{word}-identifier {name} --deletion-protection")),
            }
        }));
        checks
    }

    /// What a person should know before.
    pub(super) fn checks(&self) -> Vec<Check> {
        let subject = &self.names.production;
        let mut found = Vec::new();
        match old_blue(self.scope, &self.names, self.now, self.armed) {
            Ok(blue) => found.extend(self.kept(&blue)),
            Err(why) => {
                let check = Check::warn(OLD_BLUE, subject, why)
                    .wanted("one database that is known to be the old blue: else the step stops and asks")
                    .cure("name it in the step's `with.old`, or arm before the switchover");
                found.push(check);
            }
        }
        if let Some(why) = &self.now.proxies_unread {
            let found_of = format!("whether an RDS Proxy leads to it was not looked up: {why}");
            let check = Check::unknown("proxies", subject, found_of)
                .wanted("the proxies that lead to it: else a proxy goes on to lead to green")
                .cure("allow the call: `belay iam PLAN` prints the statement");
            found.push(check);
        }
        let production = self.now.called(subject);
        let attached = production.into_iter().flat_map(|found| found.attached()).cloned();
        let attached = attached.collect::<Vec<_>>().join(", ");
        if !attached.is_empty() {
            let left = format!(
                "it has members or replicas with endpoints of their own ({attached}); AWS gives their names to green's at the \
                 switchover, and this step leaves them there"
            );
            let check = Check::warn("endpoints_left_behind", subject, left)
                .wanted("clients that connect to an endpoint that this step moves")
                .cure(format!("let whatever must be rolled back connect to the endpoint of {subject}"));
            found.push(check);
        }
        found
    }
}

/// A rename applies every modification that waits: an engine upgrade would begin in the middle of the swap.
fn applies(renamed: &Found) -> Option<Effect> {
    (!renamed.queued.is_empty()).then(|| Effect::Applies { queued: renamed.queued.clone() })
}

/// Why a database cannot be renamed, or used, now.
fn unfit(found: &Found) -> Option<Assessment> {
    let Found { name, status, .. } = found;
    if let Some(to) = &found.renaming_to {
        return Some(settling(format!("{name} is being renamed to {to}")));
    }
    match phase(status) {
        Phase::Available => None,
        Phase::Changing => Some(settling(format!("{name} is {status}"))),
        Phase::Stuck { cure } => Some(verdict(format!("{name} is {status}: {cure}"))),
    }
}

pub(super) fn rename(id: &str, kind: Kind, from: &str, to: &str, effects: Vec<Effect>) -> Change {
    Change {
        id: id.to_owned(),
        title: format!("rename {from} to {to}"),
        before: json!({ "name": from }),
        after: json!({ "name": to }),
        call: if kind == Kind::Instance { MODIFY_INSTANCE } else { MODIFY_CLUSTER }.to_owned(),
        args: json!(Call { kind, from: from.to_owned(), to: to.to_owned() }),
        effects,
        keeps: None,
        repeats: Repeats::Converges,
        expected: RENAME_EXPECTED,
    }
}
