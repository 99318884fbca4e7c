//! Times as people read them: in UTC and, where the plan names one, in a time zone.

use std::time::Duration;

use belay_plan::duration;
use jiff::{
    Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};

/// The zone that a plan names beside UTC. Its rules are those that Belay was built with, so no disk is asked.
///
/// # Errors
/// There is no such zone.
pub(super) fn zone(name: Option<&str>) -> Result<Option<TimeZone>, String> {
    let Some(name) = name else { return Ok(None) };
    match TimeZoneDatabase::bundled().get(name) {
        Ok(zone) => Ok(Some(zone).filter(|zone| *zone != TimeZone::UTC)),
        Err(_) => Err(format!("there is no time zone `{name}`: write it as `Europe/Berlin`")),
    }
}

/// `2026-03-01 02:11 UTC (03:11 CET)`
pub(super) fn told(time: Timestamp, zone: Option<&TimeZone>) -> String {
    let utc = time.to_zoned(TimeZone::UTC);
    let told = utc.strftime("%Y-%m-%d %H:%M UTC").to_string();
    let Some(zone) = zone else { return told };
    let local = time.to_zoned(zone.clone());
    let form = if local.date() == utc.date() { "%H:%M %Z" } else { "%Y-%m-%d %H:%M %Z" };
    format!("{told} ({})", local.strftime(form))
}

/// `02:11 UTC (03:11 CET)`
pub(super) fn clock(time: Timestamp, zone: Option<&TimeZone>) -> String {
    let told = time.to_zoned(TimeZone::UTC).strftime("%H:%M UTC").to_string();
    match zone {
        Some(zone) => format!("{told} ({})", time.to_zoned(zone.clone()).strftime("%H:%M %Z")),
        None => told,
    }
}

/// How long it took: whole minutes above ten, `12m`, else to the second.
pub(super) fn lasted(from: Timestamp, until: Timestamp) -> String {
    let seconds = u64::try_from(until.duration_since(from).as_secs()).unwrap_or(0);
    let shown = if seconds >= 600 { seconds / 60 * 60 } else { seconds };
    duration::format(Duration::from_secs(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn times_are_told_in_utc_and_in_the_zone_of_the_plan() {
        let berlin = zone(Some("Europe/Berlin")).unwrap();
        assert_eq!(told(at("2026-03-01T02:11:40Z"), None), "2026-03-01 02:11 UTC");
        assert_eq!(told(at("2026-03-01T02:11:40Z"), berlin.as_ref()), "2026-03-01 02:11 UTC (03:11 CET)");
        assert_eq!(told(at("2026-07-01T23:30:00Z"), berlin.as_ref()), "2026-07-01 23:30 UTC (2026-07-02 01:30 CEST)");
        assert_eq!(clock(at("2026-07-01T23:30:00Z"), berlin.as_ref()), "23:30 UTC (01:30 CEST)");
        // The repeated hour at the end of summer time is unambiguous.
        assert_eq!(clock(at("2026-10-25T00:30:00Z"), berlin.as_ref()), "00:30 UTC (02:30 CEST)");
        assert_eq!(clock(at("2026-10-25T01:30:00Z"), berlin.as_ref()), "01:30 UTC (02:30 CET)");
        assert_eq!(zone(Some("UTC")), Ok(None));
        assert!(zone(Some("Europe/Atlantis")).unwrap_err().contains("there is no time zone `Europe/Atlantis`"));
    }

    #[test]
    fn lengths_are_as_exact_as_people_read_them() {
        let from = at("2026-03-01T02:00:00Z");
        for (until, shown) in [
            ("2026-03-01T02:00:42Z", "42s"),
            ("2026-03-01T02:09:59Z", "9m59s"),
            ("2026-03-01T02:10:59Z", "10m"),
            ("2026-03-01T05:14:10Z", "3h14m"),
            ("2026-03-01T01:00:00Z", "0s"),
        ] {
            assert_eq!(lasted(from, at(until)), shown, "{until}");
        }
    }
}
