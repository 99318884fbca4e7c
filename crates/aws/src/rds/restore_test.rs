//! A restore test: what a step would bring back, restored for once beside what is there, so that people know that it can be.
//!
//! It is the same step with the same calls, but the names: it keeps its own, so nothing of production changes. A person deletes it.

use std::borrow::Cow;

use belay_core::id::RunId;
use belay_ports::{Endpoint, Made, Restored, Scope};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::{
    ClusterState, KeepEndpoint, Observed, With,
    assess::changes::RESTORE,
    cluster::CREATE,
    names::Names,
    spec::{Subject, TIME_CUTOVER, Test},
    state::State,
};

/// The id of a test begins so. That of a run has no hyphen.
const BEGINS: &str = "test-";

/// When a test began, as its id shows it: `20261129-210342`. None: it is a run.
pub(super) fn began(run: &RunId) -> Option<&str> {
    run.0.strip_prefix(BEGINS)
}

/// The scope that a step is carried out in.
pub(super) fn own<'s>(scope: &'s Scope, with: &With) -> Cow<'s, Scope> {
    match &with.test {
        None => Cow::Borrowed(scope),
        Some(Test { migration, id }) => {
            Cow::Owned(Scope { migration: migration.clone(), run: Some(RunId(id.clone())), ..scope.clone() })
        }
    }
}

/// The settings of a test that begins now.
pub(super) fn with(scope: &Scope, began: Timestamp) -> Value {
    let mut with = scope.with.clone();
    let Some(settings) = with.as_object_mut() else { return with };
    settings.insert("keep_endpoint".to_owned(), json!(KeepEndpoint::NONE));
    settings.remove("cname");
    // A person is to delete it, and so can.
    let mut without = settings.remove("without").unwrap_or_else(|| json!([]));
    without.as_array_mut().into_iter().for_each(|without| without.push(json!("deletion_protection")));
    settings.insert("without".to_owned(), without);
    if let Some(from) = settings.get_mut("from").and_then(Value::as_object_mut) {
        marked(from, scope.cutover, began);
    }
    let time = began.to_zoned(TimeZone::UTC).strftime("%Y%m%d-%H%M%S");
    let test = json!({ "migration": scope.migration, "id": format!("{BEGINS}{time}") });
    settings.insert("test".to_owned(), test);
    with
}

/// What counts from the cutover, as long as that is not marked, counts from now.
fn marked(from: &mut Map<String, Value>, cutover: Option<Timestamp>, now: Timestamp) {
    if from.get("time").is_some_and(|time| time == TIME_CUTOVER) {
        from.insert("time".to_owned(), cutover.map_or(json!("latest"), |cutover| json!(cutover)));
    }
    if let Some(newest) = from.get_mut("newest_snapshot").and_then(Value::as_object_mut)
        && newest.get("before").is_none_or(|before| before == TIME_CUTOVER)
    {
        newest.insert("before".to_owned(), json!(cutover.unwrap_or(now)));
    }
}

/// What a test has made.
pub(super) fn restored(scope: &Scope, with: &With, now: &Observed) -> Option<Restored> {
    with.test.as_ref()?;
    let scope = own(scope, with);
    let (Subject::Instance(name) | Subject::Cluster(name)) = &with.subject;
    let name = Names::new(name, scope.run.as_ref()).restored;
    let region = scope.aws.region.as_ref().map(|region| format!(" --region {region}")).unwrap_or_default();
    let asked = |change: &str| scope.sent.iter().any(|sent| sent.change == change);
    let instance = |name: String, listed: bool, snapshots: &str| Made {
        delete: format!("aws rds delete-db-instance --db-instance-identifier {name}{snapshots}{region}"),
        name,
        listed,
    };
    Some(match now {
        Observed::Instance(State { restored, .. }) => {
            let endpoint = restored.as_ref().and_then(|found| endpoint(found.endpoint.as_ref(), found.port));
            let is_there = restored.is_some() || asked(RESTORE);
            let made = is_there.then(|| instance(name, restored.is_some(), " --skip-final-snapshot"));
            Restored { endpoint, made: made.into_iter().collect() }
        }
        Observed::Cluster(ClusterState { restored, members, .. }) => {
            // Those of a Multi-AZ DB cluster go with it.
            let aurora = restored.as_ref().is_none_or(|found| found.is_aurora());
            let of_member = |name: &str| Names::new(name, scope.run.as_ref()).restored;
            let made = members
                .iter()
                .filter(|member| aurora && (member.restored.is_some() || asked(&format!("{CREATE}:{}", member.name))));
            let made = made.map(|member| instance(of_member(&member.name), member.restored.is_some(), ""));
            let cluster = (restored.is_some() || asked(RESTORE)).then(|| Made {
                delete: format!(
                    "aws rds delete-db-cluster --db-cluster-identifier {name} --skip-final-snapshot{region}"
                ),
                name,
                listed: restored.is_some(),
            });
            let endpoint = restored.as_ref().and_then(|found| endpoint(found.endpoint.as_ref(), found.port));
            Restored { endpoint, made: made.chain(cluster).collect() }
        }
    })
}

fn endpoint(host: Option<&String>, port: Option<u16>) -> Option<Endpoint> {
    host.map(|host| Endpoint { host: host.clone(), port })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::testing;

    fn tested(with: Value, cutover: Option<&str>) -> (Scope, Value) {
        let cutover = cutover.map(|at| at.parse().unwrap());
        let scope = Scope { cutover, ..testing::scope(with, None, None) };
        let settings = super::with(&scope, "2026-11-29T21:03:42Z".parse().unwrap());
        (Scope { migration: "checkout-restore-test".to_owned(), ..scope }, settings)
    }

    #[test]
    fn a_test_stays_beside_and_is_of_the_migration_that_it_tests() {
        let cname = json!({ "zone": "Z1", "record": "db.example.com" });
        let from = json!({ "newest_snapshot": { "tagged": "migration" } });
        let with =
            json!({ "instance": "Shop", "from": from, "keep_endpoint": "cname", "cname": cname, "without": ["iops"] });
        let (scope, settings) = tested(with, None);
        let decoded = With::deserialize(&settings).unwrap();
        assert_eq!((decoded.keep_endpoint, decoded.cname.is_none()), (KeepEndpoint::None, true));
        assert_eq!(settings["without"], json!(["iops", "deletion_protection"]));
        assert_eq!(settings["from"]["newest_snapshot"]["before"], "2026-11-29T21:03:42Z");
        let own = own(&scope, &decoded);
        assert_eq!(own.migration, "checkout", "the tag of its snapshots");
        let run = own.run.as_ref().unwrap();
        assert_eq!((run.0.as_str(), began(run)), ("test-20261129-210342", Some("20261129-210342")));
        assert_eq!(Names::new("Shop", Some(run)).restored, "shop-restored-test-20261129-210342");
        assert_eq!(began(&RunId("01k8abcd2345".to_owned())), None);
    }

    #[test]
    fn a_time_that_counts_from_the_cutover_is_that_of_the_mark() {
        let from = |with: Value, cutover| tested(with, cutover).1["from"].clone();
        let time = || json!({ "instance": "shop", "from": { "time": "cutover" } });
        assert_eq!(from(time(), None), json!({ "time": "latest" }));
        let marked = Some("2026-11-28T22:00:00Z");
        assert_eq!(from(time(), marked), json!({ "time": "2026-11-28T22:00:00Z" }));
        let newest = json!({ "instance": "shop", "from": { "newest_snapshot": { "before": "cutover" } } });
        assert_eq!(from(newest, marked)["newest_snapshot"]["before"], "2026-11-28T22:00:00Z");
        let named = json!({ "instance": "shop", "from": { "snapshot": "before" } });
        assert_eq!(from(named, marked), json!({ "snapshot": "before" }));
    }
}
