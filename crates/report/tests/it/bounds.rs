//! A report has an end, however long the record is.

use belay_core::{event::Event, reading::Health};
use belay_report::{html, markdown, report};

use crate::story::begun;

#[test]
fn a_hundred_thousand_records_make_a_report_that_says_what_is_left_out() {
    let mut story = begun();
    let last = story.stage.journal.last().unwrap().clone();
    for number in 0..100_000_u64 {
        let mut record = last.clone();
        record.seq = last.seq + 1 + number;
        (record.prev, record.hash) = (format!("{:064}", record.seq - 1), format!("{:064}", record.seq));
        let second = i64::try_from(number).unwrap();
        record.at = last.at + jiff::SignedDuration::from_secs(second);
        let (from, to) =
            if number % 2 == 0 { (Health::Unhealthy, Health::Healthy) } else { (Health::Healthy, Health::Unhealthy) };
        record.event = Event::SignalTurned {
            signal: "errors".to_owned(),
            from,
            to,
            evidence: "it flaps".to_owned(),
            source: "cloudwatch".to_owned(),
            unreadable: false,
        };
        story.stage.journal.push(record);
    }
    let report = report(&story.stage.journal, &story.run).unwrap().unwrap();
    assert!(report.timeline.items.len() == 1000 && report.timeline.left_out > 99_000, "{}", report.timeline.left_out);
    let first = story.stage.journal.first().unwrap().at;
    assert!(report.timeline.items[0].at >= first && report.timeline.items[999].at == report.as_of);
    let errors = &report.signals.rows[0].bands;
    assert!(errors.items.len() == 200 && errors.left_out > 99_000, "{}", errors.left_out);
    let (page, text) = (html(&report), markdown(&report));
    let left_out = format!("{} lines are left out here", report.timeline.left_out);
    assert!(page.contains(&left_out) && text.contains(&left_out));
    assert!(page.len() < 2_000_000 && text.len() < 1_000_000, "{} {}", page.len(), text.len());
}
