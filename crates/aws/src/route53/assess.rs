//! How far a weighted record is from its target. Pure.

use std::{collections::BTreeMap, time::Duration};

use belay_core::{
    change::{Assessment, Change, Effect, Progress, Repeats, Share},
    part_way::Weights,
};
use belay_ports::{Corrupt, Scope};
use serde_json::{Map, Value, json};

use super::{Args, CALL, PROPAGATION, State, With, health, record::RecordSet};
use crate::weights::{self as shared, Stage};

/// 0-255 (API reference, ResourceRecordSet).
pub(crate) const WEIGHT_MAX: u32 = 255;

/// Of a load balancer's alias (developer guide, "Choosing between alias and non-alias records"). The time to live of other
/// AWS resources is not told; they have the same.
const ALIAS_TTL: Duration = Duration::from_secs(60);

fn as_it_is(member: &str) -> &str {
    member
}

pub(crate) fn assess(scope: &Scope, with: &With, now: &State, baseline: Option<&State>) -> Result<Assessment, Corrupt> {
    if now.pending {
        return Ok(Assessment::Settling(Progress {
            fraction: None,
            note: "PENDING: on its way to Route 53's name servers".to_owned(),
            expected_left_s: Some(PROPAGATION.as_secs()),
        }));
    }
    let failed = |why: String| Ok(Assessment::Failed { why });
    let named = shared::named(scope, baseline.map(State::shares))?;
    let (records, gone) = match with_the_gone(with, now, baseline, &named) {
        Ok(records) => records,
        Err(why) => return failed(why),
    };
    let present = now.weights();
    let mut all = present.clone();
    all.extend(gone.iter().map(|member| (member.clone(), 0)));
    let after = match shared::wanted(&all, &named, scope.others, as_it_is) {
        Ok(after) => after,
        Err(verdict) => return Ok(verdict.into()),
    };
    let before = scope.before::<State>()?.map(|before| before.weights());
    let ahead = shared::ahead(scope, before.as_ref(), &present, &after, &named, WEIGHT_MAX);
    // The baseline's equal shares are there as long as all weights are zero, or the same.
    let equal =
        baseline.is_some_and(State::splits_equally) && now.splits_equally() && !named.explicit && gone.is_empty();
    if equal || after == present || ahead.first().is_some_and(|stage| stage.weights == present) {
        return Ok(Assessment::InPlace);
    }
    if let Some(policy) = records.values().find_map(|record| record.traffic_policy_instance.as_ref()) {
        let why =
            format!("{} belongs to traffic policy instance {policy}: only the policy may change it", with.title());
        return failed(why);
    }
    let from = std::iter::once(&present).chain(ahead.iter().map(|stage| &stage.weights));
    let moves = from.zip(&ahead).filter(|(from, stage)| **from != stage.weights);
    let changes = moves.map(|(from, stage)| change(with, now, &records, from, stage)).collect();
    Ok(Assessment::Remaining(changes))
}

/// The members as they are, and as the baseline has those that somebody has deleted since and that are wanted again; and
/// which those are. What had no traffic is not missed, unless all of the record is gone.
fn with_the_gone(
    with: &With,
    now: &State,
    baseline: Option<&State>,
    named: &shared::Named,
) -> Result<(BTreeMap<String, RecordSet>, Vec<String>), String> {
    let title = with.title();
    let all_gone = now.members.is_empty();
    let record = |member: &RecordSet| (member.set_identifier.clone(), member.clone());
    let mut records: BTreeMap<String, RecordSet> = now.members.iter().map(record).collect();
    let of_baseline =
        |member: &str| baseline.and_then(|b| b.members.iter().find(|found| found.set_identifier == member));
    let absent = named.weights.iter().filter(|(member, _)| !records.contains_key(*member));
    let (known, unknown): (Vec<_>, Vec<_>) = absent.partition(|(member, _)| of_baseline(member).is_some());
    let unknown: Vec<&str> = unknown.into_iter().map(|(member, _)| member.as_str()).collect();
    let gone: Vec<String> =
        known.into_iter().filter(|(_, weight)| **weight > 0 || all_gone).map(|(member, _)| member.clone()).collect();
    let cure = match unknown.as_slice() {
        [] => format!("delete that, and Belay creates {} again as the baseline has it", gone.join(", ")),
        _ => "put the weighted record back by hand".to_owned(),
    };
    match &now.instead {
        Some(instead) if all_gone => {
            return Err(format!(
                "{title} is not weighted any more: {instead} has its place, and Route 53 takes no weighted record beside it; \
                 {cure}"
            ));
        }
        _ if unknown.is_empty() => {}
        _ if all_gone => {
            let unknown = unknown.join(", ");
            return Err(format!(
                "the record {title} does not exist, and no baseline says what {unknown} was; create it by hand"
            ));
        }
        _ => {
            let existing = records.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let unknown = unknown.join(", ");
            return Err(format!(
                "{title} has no set identifier {unknown}, and no baseline says what it was; it has {existing}"
            ));
        }
    }
    // All members of one weighted name share one time to live (API reference, ResourceRecordSet): here that of those present.
    let ttl = now.members.iter().find_map(|member| member.ttl);
    for member in gone.iter().filter_map(|member| of_baseline(member)) {
        let again = RecordSet { ttl: member.ttl.map(|own| ttl.unwrap_or(own)), ..member.clone() };
        records.insert(again.set_identifier.clone(), again);
    }
    Ok((records, gone))
}

fn change(with: &With, now: &State, records: &BTreeMap<String, RecordSet>, from: &Weights, to: &Stage) -> Change {
    let after = |record: &RecordSet| to.weights.get(&record.set_identifier).copied().unwrap_or(0);
    let shares = records.values().map(|record| Share {
        destination: record.set_identifier.clone(),
        before: from.get(&record.set_identifier).copied().unwrap_or(0),
        after: after(record),
        proof: health::proof(record, &now.checks),
    });
    let upserts = records.values().filter(|record| from.get(&record.set_identifier) != Some(&after(record)));
    let upserts = upserts.map(|record| RecordSet { weight: after(record), ..record.clone() }).collect();
    let created: Vec<&str> =
        to.weights.keys().filter(|member| !from.contains_key(*member)).map(String::as_str).collect();
    let created = match created.as_slice() {
        [] => String::new(),
        created => format!("create {} again, ", created.join(", ")),
    };
    let old = with.wait_ttl.then(|| kept_by_resolvers(now, records));
    let drains = old.map(|time| Effect::Drains { time });
    Change {
        id: to.id("weights"),
        title: format!(
            "{}: {created}{}{}{}",
            with.title(),
            shared::moves(from, &to.weights, as_it_is),
            to.note(),
            untold(now, records, to)
        ),
        before: image(from, &to.weights),
        after: shared::readable(&to.weights, as_it_is),
        call: CALL.to_owned(),
        args: json!(Args { zone: now.zone.clone(), upserts }),
        effects: std::iter::once(Effect::Traffic { shares: shares.collect() }).chain(drains).collect(),
        keeps: None,
        repeats: Repeats::Converges,
        expected: PROPAGATION + old.unwrap_or_default(),
    }
}

/// Whoever gets traffic by a health check that proves nothing is named, also where a `require` lets it pass.
fn untold(now: &State, records: &BTreeMap<String, RecordSet>, to: &Stage) -> String {
    let gets = |record: &&RecordSet| to.weights.get(&record.set_identifier).is_some_and(|weight| *weight > 0);
    let found = records.values().filter(gets);
    let found = found.filter_map(|record| Some((record, health::untold(record, &now.checks)?)));
    let each: Vec<String> = found.map(|(record, why)| format!("{}: {why}", record.set_identifier)).collect();
    if each.is_empty() { String::new() } else { format!(" (not proven healthy by Route 53: {})", each.join("; ")) }
}

/// A member that is not there is null.
fn image(from: &Weights, to: &Weights) -> Value {
    to.keys().map(|member| (member.clone(), json!(from.get(member)))).collect::<Map<_, _>>().into()
}

/// How long resolvers keep an answer that they have got just before: the longest time to live of the members as they are.
/// What is all gone had that of the baseline.
fn kept_by_resolvers(now: &State, records: &BTreeMap<String, RecordSet>) -> Duration {
    let ttl = |record: &RecordSet| {
        let seconds = record.ttl.or_else(|| now.aliased_ttls.get(&record.set_identifier).copied());
        seconds.map_or(ALIAS_TTL, |seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    };
    let gone = records.values().filter(|_| now.members.is_empty());
    now.members.iter().chain(gone).map(ttl).max().unwrap_or_default()
}
