//! How far a target group is from the targets that it shall have.

use std::collections::{BTreeMap, BTreeSet};

use belay_aws_catalogue::elbv2::{
    target::{Address, Kind, Registration},
    targets,
};
use belay_core::change::{Assessment, Change, Effect, Progress, Proof, Receipt, Repeats, Share};
use belay_plan::{
    duration,
    model::{Others, Target as To},
};
use belay_ports::{Corrupt, Scope};
use serde_json::{Value, json};

use super::{Args, DEREGISTER, REGISTER, State, Target, With, seconds};
use crate::elbv2::health::{ATTACH, DRAINING, ENABLE_ZONE, HEALTHY, NOT_ATTACHED, NOT_CHECKED, ZONE_NOT_ENABLED};

/// A title names at most so many targets; all of them stand in the change's `before` and `after`.
const NAMES_SHOWN: usize = 6;

const CANNOT_BE_USED: &str = "unused: Target.IpUnusable";
const GONE: &str = "unused: Target.NotRegistered";
const UNHEALTHY: &str = "unhealthy";
const INITIAL: &str = "initial";

pub(super) type Targets<'a> = BTreeMap<&'a Address, &'a Target>;

impl State {
    /// Those that are registered: who drains is on the way out.
    pub(super) fn registered(&self) -> Targets<'_> {
        let registered = self.targets.iter().filter(|target| target.state != DRAINING && target.state != GONE);
        registered.map(|target| (&target.registration.address, target)).collect()
    }
}

pub(super) fn assess(
    scope: &Scope,
    with: &With,
    now: &State,
    baseline: Option<&State>,
    receipts: &[Receipt],
) -> Result<Assessment, Corrupt> {
    let failed = |why: String| Ok(Assessment::Failed { why: format!("{}: {why}", with.title()) });
    let wanted = wanted(scope, now, baseline)?;
    if let Some(stranger) = wanted.keys().find(|address| Kind::of(&address.id).word() != now.kind) {
        let kind = Kind::of(&stranger.id);
        return failed(format!("its targets are of the type `{}`, and {stranger} is {kind}", now.kind));
    }
    let registered = now.registered();
    let missing: Vec<&Registration> =
        wanted.iter().filter(|(address, _)| !registered.contains_key(address)).map(|(_, target)| target).collect();
    let unnamed: Vec<&Address> = registered.keys().copied().filter(|address| !wanted.contains_key(*address)).collect();
    let leaving: Vec<&Address> = match (scope.others, &scope.to) {
        (Some(Others::Keep), _) => Vec::new(),
        (None, To::Explicit(_)) if !unnamed.is_empty() => {
            return failed(format!(
                "`to` does not name {}: name it, or say what happens to it with `others: keep`, or with `others: zero`, \
                 which deregisters it",
                names(&unnamed)
            ));
        }
        _ => unnamed,
    };
    let wanted: BTreeSet<&Address> = wanted.keys().collect();
    let changes = Changes { with, now, wanted: &wanted, leaving: &leaving };
    if !missing.is_empty() {
        if let Some(why) = cannot_register(now, &registered, &missing) {
            return failed(why);
        }
        let last = (!leaving.is_empty()).then(|| changes.deregister(true));
        return Ok(Assessment::Remaining([changes.register(&missing)].into_iter().chain(last).collect()));
    }
    let before = scope.before::<State>()?;
    let awaited = awaited(&changes, before.as_ref(), baseline);
    if let Some((target, cure)) = awaited.iter().find_map(|target| Some((target, never_healthy(&target.state)?))) {
        return failed(format!("{} is {}: {cure}", target.registration.address, target.state));
    }
    if !awaited.is_empty() {
        return Ok(Assessment::Settling(checking(now, &awaited, wanted.len(), receipts)));
    }
    if !leaving.is_empty() {
        return Ok(Assessment::Remaining(vec![changes.deregister(false)]));
    }
    Ok(match draining(scope, now, &wanted, receipts) {
        Some(progress) => Assessment::Settling(progress),
        None => Assessment::InPlace,
    })
}

/// The targets that the group shall have, by address.
pub(super) fn wanted(
    scope: &Scope,
    now: &State,
    baseline: Option<&State>,
) -> Result<BTreeMap<Address, Registration>, Corrupt> {
    let targets = match &scope.to {
        To::Explicit(to) => {
            targets::explicit(to).map_err(|error| Corrupt(format!("`to` is not a map of targets: {error}")))?
        }
        To::Baseline => {
            let none = || Corrupt(format!("step {} returns to a baseline, and there is none", scope.step));
            baseline.ok_or_else(none)?.registered().into_values().map(|target| target.registration.clone()).collect()
        }
        To::Own => return Err(Corrupt(format!("step {} has no target", scope.step))),
    };
    let with_port = |target: Registration| {
        let port = target.address.port.or(now.port);
        let address = Address { port, ..target.address };
        (address.clone(), Registration { address, ..target })
    };
    Ok(targets.into_iter().map(with_port).collect())
}

/// Why registering would come to nothing, or to a moment without any target.
fn cannot_register(now: &State, registered: &Targets<'_>, missing: &[&Registration]) -> Option<String> {
    if registered.values().any(|target| target.state == NOT_ATTACHED) {
        return Some(format!(
            "no listener forwards to it, so nothing checks its targets, and it cannot be told when they are ready: {ATTACH}"
        ));
    }
    let kind = Kind::of(&missing.first()?.address.id);
    (kind.is_alone() && !registered.is_empty()).then(|| {
        format!(
            "it holds {kind} alone, so it would be empty in between (now: {}): give the other a target group of its own, \
             and shift with `alb.forward`",
            now.targets.iter().map(|target| target.registration.address.to_string()).collect::<Vec<_>>().join(", ")
        )
    })
}

/// Why waiting for a target is in vain, and the cure.
fn never_healthy(state: &str) -> Option<&'static str> {
    match state {
        NOT_ATTACHED => Some(ATTACH),
        ZONE_NOT_ENABLED => Some(ENABLE_ZONE),
        CANNOT_BE_USED => Some("the address is reserved for a load balancer: register another"),
        _ => None,
    }
}

/// The targets that have to become healthy before others go: those that this step has registered, unless they were
/// unhealthy in the known-good state too; and whoever is being checked for the first time.
fn awaited<'a>(changes: &Changes<'a>, before: Option<&State>, baseline: Option<&State>) -> Vec<&'a Target> {
    let registered_before = before.map(State::registered);
    let healthy_then = |address: &Address| {
        let then = baseline.map(State::registered).unwrap_or_default();
        then.get(address).is_none_or(|target| !target.state.starts_with(UNHEALTHY))
    };
    let is_awaited = |target: &&Target| {
        let address = &target.registration.address;
        let new = registered_before.as_ref().is_some_and(|before| !before.contains_key(address));
        let ready = target.state == HEALTHY || target.state == NOT_CHECKED;
        !ready && (target.state.starts_with(INITIAL) || new && healthy_then(address))
    };
    let wanted = changes.now.registered().into_values().filter(|target| changes.wants(target));
    wanted.filter(is_awaited).collect()
}

fn checking(now: &State, awaited: &[&Target], wanted: usize, receipts: &[Receipt]) -> Progress {
    let healthy = wanted - awaited.len();
    let waits = awaited.iter().take(NAMES_SHOWN).map(|t| format!("{} {}", t.registration.address, t.state));
    let more = awaited.len().saturating_sub(NAMES_SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Progress {
        fraction: Some(healthy as f64 / wanted.max(1) as f64),
        note: format!("{healthy} of {wanted} targets ready; {}{more}", waits.collect::<Vec<_>>().join(", ")),
        expected_left_s: left_s(now, receipts, REGISTER_ID, now.checks_s),
    }
}

/// How long those that leave still have. None when nobody drains whom this step has deregistered.
fn draining(scope: &Scope, now: &State, wanted: &BTreeSet<&Address>, receipts: &[Receipt]) -> Option<Progress> {
    if scope.others == Some(Others::Keep) {
        return None;
    }
    let draining = now.targets.iter().filter(|target| target.state == DRAINING);
    let addresses = draining.map(|target| &target.registration.address);
    let addresses: Vec<&Address> = addresses.filter(|address| !wanted.contains(address)).collect();
    let delay = duration::format(seconds(now.delay_s));
    (!addresses.is_empty()).then(|| Progress {
        fraction: None,
        note: format!("draining for up to {delay}, the group's deregistration delay: {}", names(&addresses)),
        expected_left_s: left_s(now, receipts, DEREGISTER_ID, now.delay_s),
    })
}

fn left_s(now: &State, receipts: &[Receipt], change: &str, usual_s: u64) -> Option<u64> {
    let at = receipts.iter().rev().find(|receipt| receipt.change == change)?.at;
    let gone_s = u64::try_from(now.looked?.duration_since(at).as_secs()).unwrap_or(0);
    Some(usual_s.saturating_sub(gone_s))
}

const REGISTER_ID: &str = "register";
const DEREGISTER_ID: &str = "deregister";

struct Changes<'a> {
    with: &'a With,
    now: &'a State,
    wanted: &'a BTreeSet<&'a Address>,
    leaving: &'a [&'a Address],
}

impl Changes<'_> {
    fn wants(&self, target: &Target) -> bool {
        self.wanted.contains(&target.registration.address)
    }

    /// The load balancer sends nothing to a target before its own checks have passed: no traffic moves yet.
    fn register(&self, missing: &[&Registration]) -> Change {
        let registered = self.now.registered();
        let addresses: Vec<&Address> = missing.iter().map(|target| &target.address).collect();
        let after: Vec<&Address> = registered.keys().copied().chain(addresses.iter().copied()).collect();
        Change {
            id: REGISTER_ID.to_owned(),
            title: format!("{}: registers {}", self.with.title(), names(&addresses)),
            before: listed(registered.keys().copied()),
            after: listed(after.into_iter()),
            call: REGISTER.to_owned(),
            args: json!(Args {
                group: self.now.arn.clone(),
                targets: missing.iter().map(|target| (*target).clone()).collect(),
            }),
            effects: Vec::new(),
            keeps: None,
            repeats: Repeats::Converges,
            expected: seconds(self.now.checks_s),
        }
    }

    /// `ahead`: there is something to register first, and the step waits for it.
    fn deregister(&self, ahead: bool) -> Change {
        let registered = self.now.registered();
        let leaving = |address: &Address| self.leaving.contains(&address);
        let staying = registered.keys().copied().filter(|address| !leaving(address));
        let new = self.wanted.iter().copied().filter(|address| !registered.contains_key(address));
        let after: Vec<&Address> = staying.chain(new.filter(|_| ahead)).collect();
        let args = Args {
            group: self.now.arn.clone(),
            targets: self.leaving.iter().map(|address| registered[*address].registration.clone()).collect(),
        };
        let shares = self.shares(&registered, &after);
        let healthy = shares.iter().filter(|share| share.after > 0).count();
        let few = (healthy < self.now.least_healthy).then(|| {
            format!(" (with fewer than {} healthy targets the group sends to all of them)", self.now.least_healthy)
        });
        Change {
            id: DEREGISTER_ID.to_owned(),
            title: format!("{}: deregisters {}{}", self.with.title(), names(self.leaving), few.unwrap_or_default()),
            before: listed(registered.keys().copied().chain(after.iter().copied())),
            after: listed(after.into_iter()),
            call: DEREGISTER.to_owned(),
            args: json!(args),
            effects: vec![Effect::Traffic { shares }],
            keeps: None,
            repeats: Repeats::Converges,
            expected: seconds(self.now.delay_s),
        }
    }

    /// A target gets its part if it is healthy, or if nobody checks it; else none.
    fn shares(&self, registered: &Targets<'_>, after: &[&Address]) -> Vec<Share> {
        let stays = |address: &Address| u32::from(after.contains(&address));
        let seen = registered.iter().map(|(address, target)| {
            let (part, proof) = match target.state.as_str() {
                HEALTHY => (1, Proof::Healthy { evidence: HEALTHY.to_owned() }),
                NOT_CHECKED => (1, Proof::None { why: NOT_CHECKED.to_owned() }),
                state => (0, Proof::Unhealthy { evidence: state.to_owned() }),
            };
            Share { destination: address.to_string(), before: part, after: part * stays(address), proof }
        });
        let new = after.iter().filter(|address| !registered.contains_key(**address)).map(|address| Share {
            destination: address.to_string(),
            before: 0,
            after: 1,
            proof: Proof::Healthy { evidence: "the step waits until it is healthy".to_owned() },
        });
        seen.chain(new).collect()
    }
}

/// `i-0abc:8080, i-0def:8080 and 3 more`
fn names(addresses: &[&Address]) -> String {
    let shown: Vec<String> = addresses.iter().take(NAMES_SHOWN).map(ToString::to_string).collect();
    let more = addresses.len().saturating_sub(NAMES_SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", shown.join(", "))
}

/// Each once, in order.
fn listed<'a>(addresses: impl Iterator<Item = &'a Address>) -> Value {
    addresses.collect::<BTreeSet<_>>().into_iter().map(|address| Value::from(address.to_string())).collect()
}
