//! The members' dance of names, once the cluster has its own.

use belay_core::change::{Assessment, Change};

use super::{
    changes::{CERTIFICATE, of_member},
    state::{Cluster, Member},
    view::View,
};
use crate::rds::{
    assess::{
        LISTED_WITHIN,
        changes::{CARRY, RENAME_EXPECTED, RENAME_FAILED, RENAME_RESTORED},
    },
    eligible,
    led::{self, Swap},
    led_earlier,
    proxies::Swapped,
    sent::{failed, settling},
    source::Kind,
    status::{Phase, phase},
};

impl View<'_> {
    /// The cluster has its name; its members get theirs, the writer last, so that it moves once.
    pub(super) fn swapped(&self, new: &Cluster) -> Assessment {
        if let Some(waiting) = self.unfit(new, RENAME_RESTORED) {
            return waiting;
        }
        let mut members: Vec<&Member> = self.now.members.iter().collect();
        let is_writer = |member: &Member| {
            let name = member.restored.as_ref().map(|found| &found.name);
            new.members.iter().any(|listed| listed.writer && Some(&listed.name) == name)
        };
        members.sort_by_key(|member| is_writer(member));
        let next: Vec<_> = members.iter().map(|member| (*member, self.next_rename(member))).collect();
        let verdict =
            |verdict: &&Assessment| matches!(verdict, Assessment::Failed { .. } | Assessment::Ambiguous { .. });
        if let Some(verdict) = next.iter().filter_map(|(_, next)| next.as_ref().err()).find(verdict) {
            return verdict.clone();
        }
        // A rename reboots a member, so the next one waits until it is back.
        let mut changes = Vec::new();
        for (member, next) in next {
            let waiting = match next {
                Ok(next) if next.is_empty() => self.back(member),
                Ok(next) => {
                    changes.extend(next);
                    None
                }
                Err(wait) => Some(wait),
            };
            if let Some(waiting) = waiting.filter(|_| changes.is_empty()) {
                return waiting;
            }
        }
        if !changes.is_empty() {
            return Assessment::Remaining(changes);
        }
        if let Some(moving) = self.proxies(&new.name).remaining(&self.now.proxied, &self.sent) {
            return moving;
        }
        let model = self.known_good.and_then(|baseline| baseline.cluster.as_ref()).or(self.now.failed.as_ref());
        if let Some(carrying) = model.and_then(|model| self.carrying_after(model, new)) {
            return carrying;
        }
        let more = if new.is_aurora() { format!(". {CERTIFICATE}") } else { String::new() };
        let settled = self.read_back(new, model);
        let swap = Swap { rename: RENAME_RESTORED, by: "the restored one", more: &more };
        led::confirmed(&self.sent, &swap, &led_earlier(self.scope), self.now.led.as_ref(), settled)
    }

    pub(super) fn proxies<'n>(&'n self, restored: &'n str) -> Swapped<'n> {
        Swapped { kind: Kind::Cluster, replaced: &self.names.failed, restored }
    }

    /// Why a member that has its name is not available yet, if so.
    fn back(&self, member: &Member) -> Option<Assessment> {
        let found = member.instance.as_ref().filter(|_| self.has_its_place(&member.name))?;
        self.busy(found, &of_member(RENAME_RESTORED, &member.name))
    }

    /// What is left of a member's dance; or what it waits for.
    fn next_rename(&self, member: &Member) -> Result<Vec<Change>, Assessment> {
        let (away, back) = (of_member(RENAME_FAILED, &member.name), of_member(RENAME_RESTORED, &member.name));
        let Some(new) = &member.restored else {
            let renaming = [&away, &back].iter().any(|sent| self.sent.perhaps(sent, LISTED_WITHIN));
            return match member.instance {
                None if renaming => Err(settling(format!(
                    "the restored member {} is being renamed: it is listed under neither name",
                    member.name
                ))),
                _ => Ok(Vec::new()),
            };
        };
        match (&member.instance, &member.failed) {
            (Some(found), Some(_)) => Err(Assessment::Ambiguous {
                why: format!("the member {} was moved away, and now there is another: {}", member.name, found.name),
            }),
            (Some(old), None) => {
                if let Some(why) = eligible::held("member", &old.name, &old.status, self.with.keep_endpoint) {
                    return Err(failed(why));
                }
                if let Some(at) = self.sent.recently(&away, LISTED_WITHIN) {
                    let note = format!("AWS accepted the new name of {}, which it has not yet", old.name);
                    return Err(self.sent.settling(Some(at), RENAME_EXPECTED, None, note));
                }
                match phase(&old.status) {
                    Phase::Changing => {
                        Err(settling(format!("{} is {}, and can be renamed after that", old.name, old.status)))
                    }
                    Phase::Available | Phase::Stuck { .. } => {
                        Ok(vec![self.rename_member_failed(&member.name), self.rename_member_restored(&member.name)])
                    }
                }
            }
            (None, moved) => {
                if moved.is_none() && self.sent.perhaps(&away, LISTED_WITHIN) {
                    return Err(settling(format!("{} is being renamed: it is listed under neither name", member.name)));
                }
                if let Some(at) = self.sent.recently(&back, LISTED_WITHIN) {
                    let note = format!("AWS accepted the new name; {} is {} and has it not yet", new.name, new.status);
                    return Err(self.sent.settling(Some(at), RENAME_EXPECTED, None, note));
                }
                match self.busy(new, &of_member(CARRY, &member.name)) {
                    Some(waiting) => Err(waiting),
                    None => Ok(vec![self.rename_member_restored(&member.name)]),
                }
            }
        }
    }
}
