//! Where the name of production leads once the restored database has it. RDS shows the end of a rename before its name servers
//! have the new address.
//!
//! The addresses from before the swap are those of the replaced database, which is kept: as soon as the name leads elsewhere, it leads to
//! the restored one. What could not be resolved before cannot be compared, and holds up nothing.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use belay_core::change::{Assessment, Outcome};
use belay_plan::duration;
use belay_ports::Scope;
use serde::{Deserialize, Serialize};

use super::{
    Observed,
    sent::{Sent, reporting, settling},
};
use crate::resolver::Resolver;

/// After a rename of an instance, up to about ten minutes (RDS User Guide, "Renaming a DB instance"); of a Multi-AZ DB cluster, about two.
const LEADS_WITHIN: Duration = Duration::from_secs(10 * 60);

/// An endpoint has one for each way in; more are not kept.
const ADDRESSES_MAX: usize = 16;

/// Where an endpoint led, as this host's resolver answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Led {
    name: String,
    addresses: BTreeSet<IpAddr>,
    /// Why there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
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
        Self { name, addresses, why }
    }

    fn is_elsewhere(&self, before: &Self) -> bool {
        !self.addresses.is_empty() && self.addresses.is_disjoint(&before.addresses)
    }

    fn words(&self) -> String {
        match &self.why {
            Some(why) => format!("nowhere ({why})"),
            None => self.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        }
    }
}

/// Where a look finds the names, in the terms of what changes them.
pub(super) enum Stage<'a> {
    /// Nothing was sent yet: production's endpoint.
    Before(Option<&'a str>),
    /// The restored database has the name: the same.
    After(Option<&'a str>),
    Neither,
}

/// None: there is nothing to compare.
pub(super) async fn look(resolver: &dyn Resolver, scope: &Scope, stage: Stage<'_>) -> Option<Led> {
    scope.run.as_ref()?;
    match stage {
        Stage::Before(endpoint) => Some(Led::ask(resolver, endpoint?).await),
        Stage::After(endpoint) => {
            let before = of(scope.before::<Observed>().ok().flatten()?)?;
            if before.addresses.is_empty() {
                return None;
            }
            // Once it was seen, another cache may still answer with the old address.
            let seen = scope.previous::<Observed>().ok().flatten().and_then(of);
            match seen.filter(|seen| seen.is_elsewhere(&before)) {
                Some(seen) => Some(seen),
                None => Some(Led::ask(resolver, endpoint?).await),
            }
        }
        Stage::Neither => None,
    }
}

fn of(observed: Observed) -> Option<Led> {
    match observed {
        Observed::Instance(state) => state.led,
        Observed::Cluster(state) => state.led,
    }
}

/// What holds of the swap, with where its name leads. `rename`: the change that gave it the name; `more`: behind that, for people.
pub(super) fn confirmed(
    scope: &Scope,
    sent: &Sent<'_>,
    rename: &str,
    now: Option<&Led>,
    settled: Assessment,
    more: &str,
) -> Assessment {
    let before = scope.before::<Observed>().ok().flatten().and_then(of);
    let (Some(before), Some(now)) = (before, now) else { return settled };
    if !matches!(settled, Assessment::InPlace | Assessment::Over(Outcome { failure: None, .. })) {
        return settled;
    }
    let Led { name, .. } = now;
    let told = if now.is_elsewhere(&before) {
        format!(
            "{name} leads to {} for this host, and led to {} before: clients that resolve it anew get the restored one{more}",
            now.words(),
            before.words()
        )
    } else if sent.perhaps(rename, LEADS_WITHIN) {
        return settling(format!(
            "the names have changed, and for this host {name} still leads to {}, with {} before the swap; waiting up to {} for RDS's \
             name servers",
            now.words(),
            before.words(),
            duration::format(LEADS_WITHIN)
        ));
    } else {
        format!(
            "not seen within {}: that {name} leads to the restored one. For this host it leads to {}, with {} before the swap. Clients \
             may still get the replaced one, or none: look with `dig {name}` where they are{more}",
            duration::format(LEADS_WITHIN),
            now.words(),
            before.words()
        )
    };
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
    use crate::testing;

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
        confirmed(&scope, &sent, RENAME, now, settled, "; and more")
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
        assert_eq!(look(&one, &scope(Some(&here), None, 1).0, Stage::After(Some(NAME))).await, None);
        let dry = Scope { run: None, ..scope(None, None, 1).0 };
        assert_eq!(look(&one, &dry, Stage::Before(Some(NAME))).await, None);
        assert_eq!(one.1.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn what_was_seen_is_not_asked_for_again() {
        let (old, new) = (led(Some("10.0.0.5")).await, led(Some("10.0.0.7")).await);
        let stale = One(Some("10.0.0.5"), AtomicUsize::new(0));
        let after = async |previous: &Led| {
            look(&stale, &scope(Some(&old), Some(previous), 1).0, Stage::After(Some(NAME))).await
        };
        assert_eq!(after(&new).await, Some(new.clone()));
        assert_eq!(stale.1.load(Ordering::Relaxed), 0);
        assert_eq!(after(&old).await, Some(old.clone()));
        assert_eq!(stale.1.load(Ordering::Relaxed), 1);
    }
}
