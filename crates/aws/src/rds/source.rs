//! What is restored: a snapshot, or a point in time; and whether it can be restored now. Pure.

use belay_core::change::{Assessment, Outcome, Progress};
use belay_ports::{RestorePoint, Scope};
use jiff::{SignedDuration, Timestamp};

use super::{
    sent::failed,
    spec::{Newest, Source, Tagged, Time},
    state::Snapshot,
};

pub(super) const MIGRATION_TAG: &str = "belay:migration";

/// RDS ships logs about every five minutes. So much later it has stopped.
pub(super) const LOGS_SHIPPED_WITHIN: std::time::Duration = std::time::Duration::from_secs(30 * 60);

/// A mark that is set during the run would be of a time after the damage, so a halted run does not take one.
pub(super) const UNMARKED: &str =
    "the cutover was not marked, so its time is not known: `belay abort` the run, name the time in";

/// What is done stays done, and the baseline is kept.
pub(super) const AGAIN: &str = "then `belay arm` and `belay rollback`: only what is missing is sent";

/// What a source is restored to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Instance,
    Cluster,
}

impl Kind {
    /// For people.
    fn word(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Cluster => "cluster",
        }
    }
}

/// Everything that a verdict on a source looks at.
pub(super) struct Sought<'a> {
    pub(super) scope: &'a Scope,
    pub(super) from: &'a Source,
    pub(super) kind: Kind,
    /// Of the instance or cluster that is replaced.
    pub(super) name: &'a str,
    pub(super) looked: Timestamp,
    /// The one that the plan names, or the newest that it wants.
    pub(super) snapshot: Option<&'a Snapshot>,
    /// None: automated backups are off.
    pub(super) latest_restorable: Option<Timestamp>,
    /// As RDS shows it. None: it does not.
    pub(super) earliest_restorable: Option<Timestamp>,
    /// When the instance or cluster was made.
    pub(super) created: Option<Timestamp>,
    /// For how many days automated backups are kept.
    pub(super) retention_days: Option<i32>,
}

impl Sought<'_> {
    /// The state of the data that the restore brings back, if it can be restored now; else why not.
    pub(super) fn data(&self) -> Result<Option<Timestamp>, Assessment> {
        match self.from {
            Source::Snapshot(name) => match self.snapshot {
                Some(snapshot) => self.usable(name, snapshot),
                None => Err(failed(missing(self.scope, self.kind, name))),
            },
            Source::NewestSnapshot(newest) => {
                let before = bound(self.scope, newest.before)?;
                match self.snapshot {
                    Some(snapshot) => self.usable(&snapshot.name, snapshot),
                    None => Err(failed(self.none_fits(newest, before))),
                }
            }
            Source::Time(time) => self.point_in_time(*time),
        }
    }

    /// The same for people, while nothing runs: to which state of the data a restore would go back, or why that is not known.
    pub(super) fn restore_point(&self) -> RestorePoint {
        if let Some(why) = self.unmarked() {
            return RestorePoint::unknown(why);
        }
        // Of a source that will be ready in a while, the time of the data may be known already.
        let (data, note) = match self.data() {
            Ok(data) => (data, None),
            Err(Assessment::Settling(progress)) => (self.awaited(), Some(progress.note)),
            Err(verdict) => return RestorePoint::unknown(why(verdict)),
        };
        let Some(data) = data else {
            let untold = || format!("RDS does not show of which time the data of {} are", self.name);
            return RestorePoint::unknown(note.unwrap_or_else(untold));
        };
        let basis = match (self.from, self.snapshot) {
            (Source::Snapshot(_) | Source::NewestSnapshot(_), Some(snapshot)) => {
                format!("snapshot {} of {data:.0}", snapshot.name)
            }
            (Source::Time(Time::Latest), _) => format!("{} is restorable up to {data:.0}", self.name),
            (Source::Time(Time::Cutover), _) => format!("the cutover at {data:.0}"),
            _ => format!("the point in time {data:.0}"),
        };
        let point = RestorePoint::time(data, note.map_or(basis.clone(), |note| format!("{basis}; {note}")));
        point.until(self.kept_until(data))
    }

    /// Automated backups go when they are older than the retention; snapshots that people have taken stay.
    fn kept_until(&self, data: Timestamp) -> Option<Timestamp> {
        let automated = match self.from {
            Source::Time(Time::Latest) => false,
            Source::Time(_) => true,
            Source::Snapshot(_) | Source::NewestSnapshot(_) => self.snapshot?.automated,
        };
        data.checked_add(self.retention().filter(|_| automated)?).ok()
    }

    fn retention(&self) -> Option<SignedDuration> {
        let days = self.retention_days.filter(|days| *days > 0)?;
        Some(SignedDuration::from_hours(24 * i64::from(days)))
    }

    /// The first point in time that can be restored. RDS does not always show it; but there are no backups from before the database was
    /// made, and none that are older than the retention.
    fn earliest(&self) -> Option<Timestamp> {
        let kept = || self.looked.checked_sub(self.retention()?).ok();
        self.earliest_restorable.or_else(|| kept().max(self.created))
    }

    /// What counts from the cutover is not known before.
    fn unmarked(&self) -> Option<&'static str> {
        (self.from.counts_from_cutover() && self.scope.cutover.is_none())
            .then_some("the cutover, from which this counts, is not marked")
    }

    fn awaited(&self) -> Option<Timestamp> {
        match self.from {
            Source::Snapshot(_) | Source::NewestSnapshot(_) => self.snapshot?.taken,
            Source::Time(time) => bound(self.scope, *time).ok()?,
        }
    }

    fn usable(&self, name: &str, snapshot: &Snapshot) -> Result<Option<Timestamp>, Assessment> {
        if let Some(why) = self.unfit(name, snapshot) {
            return Err(failed(why));
        }
        match snapshot.status.as_str() {
            "available" => Ok(snapshot.taken),
            "creating" | "copying" | "modifying" => Err(Assessment::Settling(Progress {
                fraction: snapshot.percent_progress.map(|percent| f64::from(percent) / 100.0),
                note: format!("snapshot {name} is still {}", snapshot.status),
                expected_left_s: None,
            })),
            status => Err(failed(format!("snapshot {name} is {status}, not available"))),
        }
    }

    /// Why a snapshot can never be restored to what is replaced.
    fn unfit(&self, name: &str, snapshot: &Snapshot) -> Option<String> {
        let cluster_engine = snapshot.engine.starts_with("aurora") || snapshot.engine.starts_with("neptune");
        match self.kind {
            Kind::Instance if cluster_engine => {
                return Some(format!(
                    "snapshot {name} is of {}, which runs in clusters only: name the cluster in `with`",
                    snapshot.engine
                ));
            }
            Kind::Cluster | Kind::Instance => {}
        }
        // RDS refuses it; sharing under the default key is not possible in the first place.
        let owner =
            arn_part(name, 4).filter(|owner| self.scope.aws.account.as_deref().is_some_and(|own| own != *owner))?;
        snapshot.encrypted.then(|| {
            format!(
                "snapshot {name} is encrypted and shared by account {owner}: RDS restores only a copy of it. Copy it with a \
                 key of this account, for which {owner} has to share its own key (never the default `aws/rds`), and name the \
                 copy"
            )
        })
    }

    fn none_fits(&self, newest: &Newest, before: Option<Timestamp>) -> String {
        let mut wanted = before.map(|before| format!(" taken before {before}")).unwrap_or_default();
        for (key, value) in tags_of(self.scope, newest) {
            wanted.push_str(&format!(", with the tag {key} = {value}"));
        }
        format!("there is no available snapshot of the {} {}{wanted}", self.kind.word(), self.name)
    }

    fn point_in_time(&self, time: Time) -> Result<Option<Timestamp>, Assessment> {
        let Some(latest) = self.latest_restorable else {
            return Err(failed(format!(
                "{} cannot be restored to a point in time: its automated backups are off, or none is complete yet",
                self.name
            )));
        };
        let Some(point) = bound(self.scope, time)? else { return Ok(Some(latest)) };
        if point > self.looked {
            return Err(failed(format!("{point} lies in the future")));
        }
        if let Some(earliest) = self.earliest().filter(|earliest| point < *earliest) {
            return Err(failed(format!("{point} is before {earliest:.0}, the earliest time that can be restored")));
        }
        if point < latest {
            return Ok(Some(point));
        }
        let note = format!("{} can be restored up to {latest}; {point} follows when its logs are shipped", self.name);
        match self.looked.duration_since(latest).unsigned_abs() > LOGS_SHIPPED_WITHIN {
            true => Err(failed(format!("{note}, which has not happened for 30 minutes"))),
            false => Err(Assessment::Settling(Progress { fraction: None, note, expected_left_s: None })),
        }
    }
}

/// The point that a plan's word means. None: as late as possible; and armed, or looked at, before the cutover: it is
/// possible now, and the mark comes later.
pub(super) fn bound(scope: &Scope, time: Time) -> Result<Option<Timestamp>, Assessment> {
    match (time, scope.cutover) {
        (Time::Latest, _) => Ok(None),
        (Time::Cutover, None) if scope.run.is_none() => Ok(None),
        (Time::At(point), _) | (Time::Cutover, Some(point)) => Ok(Some(point)),
        (Time::Cutover, None) => Err(failed(format!("{UNMARKED} `from`, {AGAIN}"))),
    }
}

/// Why nothing can be restored.
fn why(verdict: Assessment) -> String {
    match verdict {
        Assessment::Failed { why }
        | Assessment::Over(Outcome { failure: Some(why), .. })
        | Assessment::Ambiguous { why } => why,
        Assessment::Settling(progress) => progress.note,
        _ => String::new(),
    }
}

/// The tags that a snapshot has to have.
pub(super) fn tags_of<'a>(scope: &'a Scope, newest: &'a Newest) -> Vec<(&'a str, &'a str)> {
    match &newest.tagged {
        None => Vec::new(),
        Some(Tagged::Migration(_)) => vec![(MIGRATION_TAG, scope.migration.as_str())],
        Some(Tagged::Tags(tags)) => tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
    }
}

/// The newest that a plan wants. One without a time is not complete yet.
pub(super) fn newest<'s>(
    snapshots: impl Iterator<Item = (Snapshot, Vec<(String, String)>)> + 's,
    before: Option<Timestamp>,
    tags: &[(&str, &str)],
) -> Option<Snapshot> {
    let has =
        |found: &[(String, String)], (key, value): &(&str, &str)| found.iter().any(|(k, v)| k == key && v == value);
    let fits = |snapshot: &Snapshot| {
        let in_time = |taken: Timestamp| before.is_none_or(|before| taken < before);
        snapshot.status == "available" && snapshot.taken.is_some_and(in_time)
    };
    snapshots
        .filter(|(snapshot, found)| fits(snapshot) && tags.iter().all(|tag| has(found, tag)))
        .map(|(snapshot, _)| snapshot)
        .max_by_key(|snapshot| snapshot.taken)
}

fn missing(scope: &Scope, kind: Kind, name: &str) -> String {
    let cluster_snapshot = arn_part(name, 5) == Some("cluster-snapshot");
    match (kind, arn_part(name, 3), scope.aws.region.as_deref()) {
        (Kind::Instance, Some(_), _) if cluster_snapshot => {
            format!("{name} is the snapshot of a cluster: name the cluster in `with`")
        }
        (_, Some(region), Some(own)) if region != own => {
            format!("{name} lies in {region}: copy it to {own}, and name the copy")
        }
        _ => format!("there is no snapshot {name}"),
    }
}

/// A part of an ARN by its index: 3 is the region, 4 the account, 5 the type of the resource.
fn arn_part(name: &str, index: usize) -> Option<&str> {
    name.starts_with("arn:").then(|| name.split(':').nth(index)).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing;

    fn at(hour: u32) -> Timestamp {
        format!("2026-03-01T{hour:02}:00:00Z").parse().unwrap()
    }

    fn snapshot(name: &str, hour: u32, status: &str) -> Snapshot {
        Snapshot {
            name: name.to_owned(),
            status: status.to_owned(),
            taken: Some(at(hour)),
            instance: "checkout".to_owned(),
            engine: "postgres".to_owned(),
            ..Snapshot::default()
        }
    }

    fn tagged(snapshot: Snapshot, value: &str) -> (Snapshot, Vec<(String, String)>) {
        (snapshot, vec![("release".to_owned(), value.to_owned())])
    }

    #[test]
    fn the_newest_is_available_in_time_and_has_the_tags() {
        let all = || {
            [
                tagged(snapshot("first", 1, "available"), "42"),
                tagged(snapshot("rds:checkout-automated", 2, "available"), "42"),
                tagged(snapshot("other-release", 3, "available"), "41"),
                tagged(snapshot("unfinished", 3, "creating"), "42"),
                tagged(snapshot("after", 5, "available"), "42"),
            ]
            .into_iter()
        };
        let found = |before, tags: &[(&str, &str)]| newest(all(), before, tags).map(|found| found.name);
        assert_eq!(found(Some(at(4)), &[("release", "42")]).as_deref(), Some("rds:checkout-automated"));
        assert_eq!(found(Some(at(4)), &[]).as_deref(), Some("other-release"));
        assert_eq!(found(None, &[]).as_deref(), Some("after"));
        assert_eq!(found(Some(at(1)), &[]), None, "taken before, not at");
        assert_eq!(found(None, &[("release", "40")]), None);
    }

    fn verdict(kind: Kind, from: &Value, snapshot: Option<&Snapshot>) -> String {
        let from: Source = serde_json::from_value(from.clone()).unwrap();
        let scope = testing::scope(Value::Null, None, None);
        let sought = Sought {
            scope: &scope,
            from: &from,
            kind,
            name: "checkout",
            looked: at(6),
            snapshot,
            latest_restorable: None,
            earliest_restorable: None,
            created: None,
            retention_days: None,
        };
        testing::failed(sought.data().expect_err("it cannot be restored"))
    }

    #[test]
    fn what_can_never_be_restored_is_said_with_its_cure() {
        let shared = "arn:aws:rds:eu-west-1:444455556666:snapshot:pre";
        let encrypted = Snapshot { encrypted: true, ..snapshot("pre", 1, "available") };
        let why = verdict(Kind::Instance, &json!({ "snapshot": shared }), Some(&encrypted));
        assert!(why.contains("shared by account 444455556666") && why.contains("name the copy"), "{why}");
        let aurora = Snapshot { engine: "aurora-mysql".to_owned(), ..snapshot("pre", 1, "available") };
        let why = verdict(Kind::Instance, &json!({ "snapshot": "pre" }), Some(&aurora));
        assert!(why.contains("runs in clusters only"), "{why}");
        let why =
            verdict(Kind::Instance, &json!({ "snapshot": "arn:aws:rds:eu-central-1:111122223333:snapshot:pre" }), None);
        assert!(why.contains("lies in eu-central-1: copy it to eu-west-1"), "{why}");
        let why = verdict(
            Kind::Instance,
            &json!({ "snapshot": "arn:aws:rds:eu-west-1:111122223333:cluster-snapshot:pre" }),
            None,
        );
        assert!(why.contains("is the snapshot of a cluster"), "{why}");
    }

    /// RDS shows no window of the automated backups, as right after they were turned on.
    #[test]
    fn a_point_before_the_database_or_older_than_the_retention_cannot_be_restored() {
        let scope = testing::scope(Value::Null, None, None);
        let data = |point: &str, created: Option<&str>, shown: Option<&str>, days: Option<i32>| {
            let time = |text: &str| text.parse::<Timestamp>().unwrap();
            let from = Source::Time(Time::At(time(point)));
            let sought = Sought {
                scope: &scope,
                from: &from,
                kind: Kind::Instance,
                name: "checkout",
                looked: at(6),
                snapshot: None,
                latest_restorable: Some(at(6)),
                earliest_restorable: shown.map(time),
                created: created.map(time),
                retention_days: days,
            };
            sought.data().map_err(testing::failed)
        };
        let (old, recent) = ("2026-02-25T00:00:00Z", "2026-03-01T04:00:00Z");
        assert_eq!(
            data(old, None, None, Some(3)).unwrap_err(),
            "2026-02-25T00:00:00Z is before 2026-02-26T06:00:00Z, the earliest time that can be restored"
        );
        let young = data("2026-03-01T03:00:00Z", Some(recent), None, Some(3)).unwrap_err();
        assert!(young.contains("before 2026-03-01T04:00:00Z"), "{young}");
        assert_eq!(data("2026-03-01T05:00:00Z", Some(recent), None, Some(3)), Ok(Some(at(5))));
        // What RDS shows counts: it may keep a backup for longer.
        assert_eq!(data(old, Some(recent), Some(old), Some(3)), Ok(Some(old.parse().unwrap())));
    }

    #[test]
    fn an_automated_snapshot_is_kept_as_long_as_the_retention_and_a_manual_one_stays() {
        let scope = testing::scope(Value::Null, None, None);
        let until = |automated: bool| {
            let (from, found) =
                (Source::Snapshot("pre".to_owned()), Snapshot { automated, ..snapshot("pre", 1, "available") });
            let sought = Sought {
                scope: &scope,
                from: &from,
                kind: Kind::Instance,
                name: "checkout",
                looked: at(6),
                snapshot: Some(&found),
                latest_restorable: None,
                earliest_restorable: None,
                created: None,
                retention_days: Some(1),
            };
            sought.restore_point().until
        };
        assert_eq!((until(true), until(false)), (Some("2026-03-02T01:00:00Z".parse().unwrap()), None));
    }

    #[test]
    fn none_that_fits_is_said_with_what_was_wanted() {
        let from = json!({ "newest_snapshot": { "before": "2026-03-01T04:00:00Z", "tagged": "migration" } });
        assert_eq!(
            verdict(Kind::Cluster, &from, None),
            "there is no available snapshot of the cluster checkout taken before 2026-03-01T04:00:00Z, with the tag \
             belay:migration = checkout"
        );
    }

    #[test]
    fn an_own_encrypted_snapshot_and_a_shared_plain_one_are_fine() {
        let scope = testing::scope(Value::Null, None, None);
        for (name, encrypted) in [
            ("arn:aws:rds:eu-west-1:111122223333:snapshot:pre", true),
            ("arn:aws:rds:eu-west-1:444455556666:snapshot:pre", false),
            ("pre", true),
        ] {
            let from = Source::Snapshot(name.to_owned());
            let found = Snapshot { encrypted, ..snapshot("pre", 1, "available") };
            let sought = Sought {
                scope: &scope,
                from: &from,
                kind: Kind::Instance,
                name: "checkout",
                looked: at(6),
                snapshot: Some(&found),
                latest_restorable: None,
                earliest_restorable: None,
                created: None,
                retention_days: None,
            };
            assert_eq!(sought.data(), Ok(Some(at(1))), "{name}");
        }
    }
}
