//! Which periods there are, and how long CloudWatch keeps their data (API reference of `GetMetricData`, 2026).

use std::time::Duration;

use belay_plan::duration;

pub const MINUTE_S: i64 = 60;
const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 24 * HOUR_S;

/// Below a minute there are only a few, and only high-resolution metrics have data for them.
pub const HIGH_RESOLUTION_S: [i64; 5] = [1, 5, 10, 20, 30];

pub const ALL: &str =
    "periods are whole minutes up to 1d, and for high-resolution metrics also 1s, 5s, 10s, 20s and 30s";

pub fn is_known(period_s: i64) -> bool {
    HIGH_RESOLUTION_S.contains(&period_s) || (period_s > 0 && period_s % 60 == 0 && period_s <= DAY_S)
}

/// How old data of a period may be. Beyond that it is there with longer periods only; a call that begins earlier gets
/// none of it.
pub fn kept_s(period_s: i64) -> i64 {
    match period_s {
        ..MINUTE_S => 3 * HOUR_S,
        _ if period_s % HOUR_S == 0 => 455 * DAY_S,
        _ if period_s % 300 == 0 => 63 * DAY_S,
        _ => 15 * DAY_S,
    }
}

/// What is wrong with looking at so many periods, and what would be right.
pub fn too_many(periods: i64, period_s: i64) -> Option<(String, String)> {
    let kept_s = kept_s(period_s);
    let shown = |seconds: i64| duration::format(Duration::from_secs(seconds.unsigned_abs()));
    (periods.saturating_mul(period_s) > kept_s).then(|| {
        let message = format!(
            "CloudWatch keeps data of {} for {}: that is less than {periods} periods",
            shown(period_s),
            shown(kept_s)
        );
        (message, format!("look at {} periods at most, or at longer ones", kept_s / period_s))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_a_few_seconds_or_whole_minutes() {
        for known in [1, 5, 10, 20, 30, 60, 420, 3_600, 86_400] {
            assert!(is_known(known), "{known}");
        }
        for unknown in [0, 2, 15, 45, 90, 86_460] {
            assert!(!is_known(unknown), "{unknown}");
        }
    }

    #[test]
    fn data_grows_old() {
        assert_eq!([30, 60, 420, 300, 3_600].map(kept_s), [3, 360, 360, 1_512, 10_920].map(|hours| hours * HOUR_S));
        assert_eq!(too_many(360, 30), None);
        let (message, help) = too_many(999, 30).unwrap();
        assert_eq!(message, "CloudWatch keeps data of 30s for 3h: that is less than 999 periods");
        assert_eq!(help, "look at 360 periods at most, or at longer ones");
    }
}
