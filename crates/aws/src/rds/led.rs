//! Where the names of production lead once another database has them. RDS shows the end of a rename before its name servers
//! have the new address.
//!
//! The addresses from before the swap are those of the replaced database, which is kept: as soon as a name leads elsewhere, it leads to
//! the one that has taken its place. What could not be resolved before cannot be compared, and holds up nothing. Custom endpoints stay with
//! the replaced cluster: where they lead is told, and not waited for.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use belay_core::change::{Assessment, Outcome};
use belay_plan::duration;
use belay_ports::Scope;
use futures::future::join_all;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::sent::{Sent, reporting, settling};
use crate::resolver::Resolver;

/// After a rename of an instance, up to about ten minutes (RDS User Guide, "Renaming a DB instance"); of a Multi-AZ DB cluster, about two.
const LEADS_WITHIN: Duration = Duration::from_secs(10 * 60);

/// An endpoint has one for each way in; more are not kept.
const ADDRESSES_MAX: usize = 16;

/// A cluster has a writer's and a reader's, up to 16 members' and a few of its own making; more are not compared.
const ENDPOINTS_MAX: usize = 32;

/// Where an endpoint led, as this host's resolver answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Led {
    name: String,
    addresses: BTreeSet<IpAddr>,
    /// Why there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// The same of production's other endpoints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<Self>,
}

impl Led {
    async fn ask(resolver: &dyn Resolver, endpoint: &str) -> Self {
        let name = endpoint.to_owned();
        let answer = resolver.addresses(endpoint).await;
        // An address of this host is no database of RDS.
        let addresses = answer.as_ref().map(Vec::as_slice).unwrap_or_default().iter().copied();
        let addresses: BTreeSet<IpAddr> =
            addresses.filter(|ip| !ip.is_loopback() && !ip.is_unspecified()).take(ADDRESSES_MAX).collect();
        let none = || answer.err().unwrap_or_else(|| "it has no address".to_owned());
        let why = addresses.is_empty().then(none);
        Self { name, addresses, why, others: Vec::new() }
    }

    fn of(mut all: Vec<Self>) -> Option<Self> {
        let others = if all.is_empty() { Vec::new() } else { all.split_off(1) };
        Some(Self { others, ..all.pop()? })
    }

    /// Each endpoint by itself, production's main one first.
    fn each(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.others)
    }

    fn called(&self, name: &str) -> Option<&Self> {
        self.each().find(|one| one.name == name)
    }

    /// `before`: all that production had. The readers' endpoint answers with another reader each time, so its own address is not enough.
    fn is_elsewhere(&self, before: &Self) -> bool {
        !self.addresses.is_empty() && before.each().all(|one| self.addresses.is_disjoint(&one.addresses))
    }

    /// A custom endpoint belongs to the cluster, not to its name.
    fn stays(&self) -> bool {
        self.name.contains(".cluster-custom-")
    }

    fn words(&self) -> String {
        match &self.why {
            Some(why) => format!("nowhere ({why})"),
            None => self.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        }
    }
}

/// Where a look finds the names, in the terms of what changes them.
pub(super) enum Stage {
    /// Nothing was sent yet: production's endpoints, the main one first.
    Before(Vec<String>),
    /// Another database has the name.
    After,
    Neither,
}

/// What a run has found before: `S` is what a look finds, `led` where that has it.
pub(super) struct Earlier {
    before: Option<Led>,
    previous: Option<Led>,
}

impl Earlier {
    pub(super) fn of<S: DeserializeOwned>(scope: &Scope, led: impl Fn(S) -> Option<Led>) -> Self {
        let before = scope.before::<S>().ok().flatten().and_then(&led);
        Self { before, previous: scope.previous::<S>().ok().flatten().and_then(led) }
    }
}

/// None: there is nothing to compare.
pub(super) async fn look(resolver: &dyn Resolver, scope: &Scope, stage: Stage, earlier: Earlier) -> Option<Led> {
    scope.run.as_ref()?;
    match stage {
        Stage::Before(mut endpoints) => {
            endpoints.truncate(ENDPOINTS_MAX);
            Led::of(join_all(endpoints.iter().map(|endpoint| Led::ask(resolver, endpoint))).await)
        }
        Stage::After => {
            let (all, previous) = (&earlier.before?, earlier.previous);
            let look = async |before: &Led| {
                // Once it was seen, another cache may still answer with the old address.
                let seen = previous.as_ref().and_then(|previous| previous.called(&before.name));
                match seen.filter(|seen| seen.is_elsewhere(all)) {
                    Some(seen) => Led { others: Vec::new(), ..seen.clone() },
                    None => Led::ask(resolver, &before.name).await,
                }
            };
            let known = all.each().filter(|one| !one.addresses.is_empty());
            Led::of(join_all(known.map(look)).await)
        }
        Stage::Neither => None,
    }
}

/// A swap of names.
pub(super) struct Swap<'a> {
    /// The change that gave production's name away to `by`, and those of its members that begin so.
    pub(super) rename: &'a str,
    /// For people: `the restored one`.
    pub(super) by: &'a str,
    /// Behind what is told of the names, for people.
    pub(super) more: &'a str,
}

/// What holds of the swap, with where the names lead.
pub(super) fn confirmed(
    sent: &Sent<'_>,
    swap: &Swap<'_>,
    earlier: &Earlier,
    now: Option<&Led>,
    settled: Assessment,
) -> Assessment {
    let (Some(before), Some(now)) = (&earlier.before, now) else { return settled };
    if !matches!(settled, Assessment::InPlace | Assessment::Over(Outcome { failure: None, .. })) {
        return settled;
    }
    let compared: Vec<(&Led, &Led)> = now.each().filter_map(|now| Some((now, before.called(&now.name)?))).collect();
    let follows = |(now, _): &&(&Led, &Led)| now.is_elsewhere(before);
    let awaited = |pair: &&(&Led, &Led)| !pair.0.stays() && !follows(pair);
    if let Some((now, before)) = compared.iter().find(awaited).filter(|_| sent.perhaps_any(swap.rename, LEADS_WITHIN)) {
        let others = match compared.iter().filter(awaited).count() {
            0 | 1 => String::new(),
            count => format!(", and {} more endpoints to where they led", count - 1),
        };
        return settling(format!(
            "the names have changed, and for this host {} still leads to {}, with {} before the swap{others}; waiting up to {} for RDS's \
             name servers",
            now.name,
            now.words(),
            before.words(),
            duration::format(LEADS_WITHIN)
        ));
    }
    let mut told = Vec::new();
    let moved: Vec<String> = compared
        .iter()
        .filter(follows)
        .map(|(now, before)| {
            format!("{} leads to {} for this host, and led to {} before", now.name, now.words(), before.words())
        })
        .collect();
    if !moved.is_empty() {
        told.push(format!("{}: clients that resolve it anew get {}", moved.join("; "), swap.by));
    }
    told.extend(compared.iter().filter(awaited).map(|(now, before)| {
        let name = &now.name;
        format!(
            "not seen within {}: that {name} leads to {}. For this host it leads to {}, with {} before the swap. Clients may still \
             get the replaced one, or none: look with `dig {name}` where they are",
            duration::format(LEADS_WITHIN),
            swap.by,
            now.words(),
            before.words()
        )
    }));
    let stays = compared.iter().filter(|pair| pair.0.stays() && !follows(pair));
    told.extend(stays.map(|(now, _)| {
        format!("{} stays with the replaced one: for this host it leads to {} as before", now.name, now.words())
    }));
    let told = format!("{}{}", told.join("; "), swap.more);
    match settled {
        Assessment::Over(Outcome { report, .. }) if !report.output.is_empty() => {
            reporting(format!("{}; {told}", report.output))
        }
        _ => reporting(told),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use belay_core::{
        change::{Sent as Send, SentOutcome},
        id::RunId,
    };
    use belay_ports::Fut;
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::{rds::Observed, testing};

    const RENAME: &str = "rename_restored";
    const NAME: &str = "shop.abc.eu-west-1.rds.amazonaws.com";

    /// Answers with one address, and counts.
    struct One(Option<&'static str>, AtomicUsize);

    impl Resolver for One {
        fn addresses<'a>(&'a self, _name: &'a str) -> Fut<'a, Result<Vec<IpAddr>, String>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            let found = self.0.map(|address| vec![address.parse().unwrap()]).ok_or_else(|| "no such name".to_owned());
            Box::pin(async { found })
        }
    }

    fn earlier(scope: &Scope) -> Earlier {
        Earlier::of(scope, |observed: Observed| observed.led())
    }

    async fn led(address: Option<&'static str>) -> Led {
        Led::ask(&One(address, AtomicUsize::new(0)), NAME).await
    }

    fn doc(led: Option<&Led>) -> Option<Arc<Value>> {
        let mut doc = json!({
            "looked": "2026-03-01T02:00:00Z", "instance": null, "restored": null, "failed": null, "snapshot": null,
            "earliest_restorable": null,
        });
        doc["led"] = json!(led);
        Some(Arc::new(doc))
    }

    /// A run, ten minutes minus `left_s` after the rename.
    fn scope(before: Option<&Led>, previous: Option<&Led>, left_s: i64) -> (Scope, Timestamp) {
        let looked: Timestamp = "2026-03-01T02:30:00Z".parse().unwrap();
        let at = looked - LEADS_WITHIN + jiff::SignedDuration::from_secs(left_s);
        let sent = vec![Send { change: RENAME.to_owned(), at, outcome: SentOutcome::Unknown }];
        let run = Some(RunId("r".to_owned()));
        let (before, previous) = (doc(before), previous.and_then(|led| doc(Some(led))));
        (Scope { run, before, previous, sent, ..testing::scope(Value::Null, None, None) }, looked)
    }

    fn judged(before: Option<&Led>, now: Option<&Led>, left_s: i64, settled: Assessment) -> Assessment {
        let (scope, looked) = scope(before, None, left_s);
        let sent = Sent { sends: &scope.sent, receipts: &[], looked };
        let swap = Swap { rename: RENAME, by: "the restored one", more: "; and more" };
        confirmed(&sent, &swap, &earlier(&scope), now, settled)
    }

    fn output(assessment: Assessment) -> String {
        match assessment {
            Assessment::Over(outcome) => outcome.report.output,
            other => panic!("not over: {other:?}"),
        }
    }

    #[tokio::test]
    async fn the_replaced_database_s_address_is_waited_away() {
        let (old, new, none) = (led(Some("10.0.0.5")).await, led(Some("10.0.0.7")).await, led(None).await);
        for (now, words) in [(&old, "still leads to 10.0.0.5, with 10.0.0.5 before"), (&none, "nowhere (no such name)")]
        {
            match judged(Some(&old), Some(now), 1, Assessment::InPlace) {
                Assessment::Settling(progress) => assert!(progress.note.contains(words), "{}", progress.note),
                other => panic!("not waited for: {other:?}"),
            }
            let told = output(judged(Some(&old), Some(now), -1, Assessment::InPlace));
            assert!(told.starts_with("not seen within 10m") && told.contains(NAME), "{told}");
        }
        let told = output(judged(Some(&old), Some(&new), 1, reporting("shop is back".to_owned())));
        assert!(told.starts_with("shop is back; ") && told.ends_with("; and more"), "{told}");
        assert!(told.contains("leads to 10.0.0.7 for this host, and led to 10.0.0.5 before"), "{told}");
    }

    #[tokio::test]
    async fn what_cannot_be_compared_holds_up_nothing() {
        let (here, old) = (led(Some("127.0.0.1")).await, led(Some("10.0.0.5")).await);
        assert!(here.addresses.is_empty());
        assert_eq!(judged(None, Some(&old), 1, Assessment::InPlace), Assessment::InPlace);
        assert_eq!(judged(Some(&old), None, 1, Assessment::InPlace), Assessment::InPlace);
        let differs = || Assessment::Differs { why: "a tag".to_owned() };
        assert_eq!(judged(Some(&old), Some(&old), 1, differs()), differs());
        let one = One(Some("10.0.0.7"), AtomicUsize::new(0));
        let after = scope(Some(&here), None, 1).0;
        assert_eq!(look(&one, &after, Stage::After, earlier(&after)).await, None);
        let dry = Scope { run: None, ..scope(None, None, 1).0 };
        assert_eq!(look(&one, &dry, Stage::Before(vec![NAME.to_owned()]), earlier(&dry)).await, None);
        assert_eq!(one.1.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn what_was_seen_is_not_asked_for_again() {
        let (old, new) = (led(Some("10.0.0.5")).await, led(Some("10.0.0.7")).await);
        let stale = One(Some("10.0.0.5"), AtomicUsize::new(0));
        let after = async |previous: &Led| {
            let scope = scope(Some(&old), Some(previous), 1).0;
            look(&stale, &scope, Stage::After, earlier(&scope)).await
        };
        assert_eq!(after(&new).await, Some(new.clone()));
        assert_eq!(stale.1.load(Ordering::Relaxed), 0);
        assert_eq!(after(&old).await, Some(old.clone()));
        assert_eq!(stale.1.load(Ordering::Relaxed), 1);
    }

    /// Answers by name.
    struct Zone(&'static [(&'static str, &'static str)]);

    impl Resolver for Zone {
        fn addresses<'a>(&'a self, name: &'a str) -> Fut<'a, Result<Vec<IpAddr>, String>> {
            let found = self.0.iter().filter(|(known, _)| *known == name).map(|(_, address)| address.parse().unwrap());
            let found: Vec<IpAddr> = found.collect();
            Box::pin(async { if found.is_empty() { Err("no such name".to_owned()) } else { Ok(found) } })
        }
    }

    const READER: &str = "shop.cluster-ro-abc.eu-west-1.rds.amazonaws.com";
    const MEMBER: &str = "shop-2.abc.eu-west-1.rds.amazonaws.com";
    const CUSTOM: &str = "reports.cluster-custom-abc.eu-west-1.rds.amazonaws.com";

    /// What production's endpoints are found to lead to, after they led to other addresses.
    async fn of_all(zone: &'static [(&'static str, &'static str)], left_s: i64) -> Assessment {
        let before = Zone(&[(NAME, "10.0.0.5"), (READER, "10.0.0.6"), (MEMBER, "10.0.0.8"), (CUSTOM, "10.0.0.6")]);
        let names = [NAME, READER, MEMBER, CUSTOM].map(str::to_owned).to_vec();
        let begun = scope(None, None, 1).0;
        let before = look(&before, &begun, Stage::Before(names), earlier(&begun)).await.unwrap();
        let (scope, looked) = scope(Some(&before), None, left_s);
        let now = look(&Zone(zone), &scope, Stage::After, earlier(&scope)).await;
        let sent = Sent { sends: &scope.sent, receipts: &[], looked };
        let swap = Swap { rename: RENAME, by: "the restored one", more: "" };
        confirmed(&sent, &swap, &earlier(&scope), now.as_ref(), Assessment::InPlace)
    }

    #[tokio::test]
    async fn every_endpoint_of_production_is_compared() {
        // The readers' endpoint answers with another one of the replaced readers.
        let late = &[(NAME, "10.0.0.7"), (READER, "10.0.0.8"), (MEMBER, "10.0.0.9"), (CUSTOM, "10.0.0.6")];
        match of_all(late, 1).await {
            Assessment::Settling(progress) => {
                assert!(progress.note.contains(&format!("{READER} still leads to 10.0.0.8")), "{}", progress.note);
            }
            other => panic!("not waited for: {other:?}"),
        }
        let told = output(of_all(late, -1).await);
        assert!(
            told.contains(&format!("look with `dig {READER}`")) && told.contains(&format!("{NAME} leads to 10.0.0.7"))
        );
        // A custom endpoint stays with the replaced cluster.
        let moved = &[(NAME, "10.0.0.7"), (READER, "10.0.0.9"), (MEMBER, "10.0.0.9"), (CUSTOM, "10.0.0.6")];
        let told = output(of_all(moved, 1).await);
        assert!(told.contains(&format!("{MEMBER} leads to 10.0.0.9 for this host")), "{told}");
        assert!(
            told.contains(&format!("{CUSTOM} stays with the replaced one: for this host it leads to 10.0.0.6")),
            "{told}"
        );
    }
}
