//! Charts: readings before, at and after the breach with the threshold; bands alone where none are on record.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use belay_core::{
    change::Assessment,
    event::Event,
    input::{Input, Verb},
    reading::{Health, Measured, Reading},
    run::RunState,
    series::Recorder,
};
use belay_report::{RunReport, html, markdown, report};

use crate::{
    common::{Stage, change},
    goldens::{golden, json},
    story::{self, Story, over},
};

/// Reads numbers every ten seconds, as the engine does.
struct Watched {
    stage: Stage,
    recorder: Recorder,
}

impl Watched {
    fn reads(&mut self, seconds: u64, rate: impl Fn(u64) -> f64) {
        for turn in 0..seconds / 10 {
            self.stage.pass(10);
            let (now, value) = (self.stage.now, rate(turn));
            let health = if value < 0.5 { Health::Healthy } else { Health::Unhealthy };
            let reading = Reading {
                signal: "errors".to_owned(),
                taken: now,
                health,
                evidence: format!("the query yields {value}"),
                source: "prometheus".to_owned(),
                unreadable: false,
                permanent: false,
                measured: Some(Measured { value, at: now, healthy: "< 0.5".to_owned(), threshold: 0.5, unit: None }),
            };
            self.recorder.note(&reading, &self.stage.state, now);
            let chunk = self.recorder.take(&self.stage.state, now);
            let inputs = chunk.into_iter().chain([Input::Reading(reading)]);
            inputs.for_each(|input| drop(self.stage.feed(input).expect("neither is refused")));
        }
    }
}

/// A breach, a decision, two steps, and the recovery of the error rate.
fn charted() -> Story {
    charted_and(false)
}

/// `killed`: in the middle of the breach.
fn charted_and(killed: bool) -> Story {
    let mut stage = Stage::new();
    let mut plan = story::guarded();
    plan.steps.shift_remove("db");
    plan.objectives.rpo = None;
    stage.arm(&plan);
    stage.read("blue_ready", Health::Healthy);
    stage.read("latency", Health::Healthy);
    let mut watched = Watched { stage, recorder: Recorder::default() };
    let usual = |turn: u64| [0.12, 0.08, 0.11, 0.1, 0.14, 0.09][usize::try_from(turn % 6).expect("it is small")];
    let rising = |turn: u64| [1.9, 3.4, 5.2, 6.1, 7.25, 6.8, 6.4, 6.9][usize::try_from(turn % 8).expect("it is small")];
    watched.reads(600, usual);
    watched.stage.command(Verb::Cutover).expect("it is armed");
    watched.reads(300, usual);
    watched.reads(150, rising);
    if killed {
        watched.recorder = Recorder::default();
        watched.stage.pass(30);
        watched.stage.feed(Input::Resumed { belay_version: "2".to_owned() }).expect("it goes on");
        watched.reads(150, rising);
    }
    let decided = Verb::Decide { roll_back: true };
    watched.stage.command_by(&story::by("carl", "customers cannot pay"), decided).expect("carl may decide");
    let run = watched.stage.state.run.as_ref().expect("it began").id.clone();
    let stage = &mut watched.stage;
    stage.look("dns", Assessment::Remaining(vec![change("weights")]));
    stage.read("blue_ready", Health::Healthy);
    stage.look("dns", Assessment::Remaining(vec![change("weights")]));
    watched.reads(10, rising);
    watched.stage.accept("dns");
    watched.reads(30, rising);
    watched.stage.look("dns", Assessment::InPlace);
    watched.reads(40, |turn| [4.4, 2.1, 0.9, 0.3][usize::try_from(turn).expect("it is small")]);
    watched.reads(420, usual);
    assert_eq!(watched.stage.run_state(), RunState::RolledBack);
    // The daemon reads nothing after that, and puts the rest on record.
    watched.stage.pass(60);
    let (now, chunk) = (watched.stage.now, watched.recorder.take(&watched.stage.state, watched.stage.now));
    assert!(now > watched.stage.state.run.as_ref().unwrap().ended.unwrap());
    watched.stage.feed(chunk.expect("it is due")).unwrap();
    Story { stage: watched.stage, run }
}

fn of(story: &Story) -> RunReport {
    report(&story.stage.journal, &story.run).unwrap().unwrap()
}

#[test]
fn a_chart_shows_the_readings_before_at_and_after_the_breach() {
    let story = charted();
    let report = of(&story);
    golden("charted.signals.json", &json(&report.signals));
    golden("charted.md", &markdown(&report));
    golden("charted.html", &html(&report));
    let readings = report.signals.rows[0].readings.as_ref().expect("errors are a number");
    let breach = report.incident.as_ref().unwrap().breach;
    let around = |before: bool| readings.points.iter().filter(|point| (point.at < breach) == before).count();
    assert!(around(true) >= 10 && around(false) > 50, "{} {}", around(true), around(false));
    assert_eq!((readings.least, readings.greatest, readings.threshold), (0.08, 7.25, 0.5));
    let last = readings.points.last().unwrap();
    assert!(last.at >= report.ended.unwrap() && last.value < 0.5, "{last:?}");
    for other in &report.signals.rows[1..] {
        assert_eq!(other.readings, None, "it shows no number");
    }
}

#[test]
fn a_journal_without_readings_shows_bands_alone() {
    let report = of(&over());
    assert!(report.signals.rows.iter().all(|row| row.readings.is_none()));
    let page = html(&report);
    assert!(!page.contains("<polyline") && page.contains("<rect class=\"unhealthy\""), "{page}");
}

#[test]
fn a_line_breaks_where_nothing_was_known_and_long_series_are_thinned() {
    let mut report = of(&charted());
    let count = |report: &RunReport| html(report).matches("<polyline").count();
    assert_eq!(count(&report), 1);
    let row = &mut report.signals.rows[0];
    let mut band = row.bands.items[0].clone();
    let points = &row.readings.as_ref().unwrap().points;
    (band.health, band.from, band.to) = (Health::Unknown, points[20].at, points[22].at);
    row.bands.items.push(band);
    assert_eq!(count(&report), 2);

    let mut story = charted();
    let kept =
        story.stage.journal.iter().position(|record| matches!(record.event, Event::ReadingsKept { .. })).unwrap();
    let Event::ReadingsKept { series, .. } = &mut story.stage.journal[kept].event else { panic!() };
    let last = series[0].points.last().unwrap().0;
    series[0].points.extend((0..5000).map(|ms| (last + ms, if ms == 777 { 99.0 } else { 1.0 })));
    let report = of(&story);
    let readings = report.signals.rows[0].readings.as_ref().unwrap();
    assert!(readings.points.len() <= 600 && readings.left_out > 4000, "{}", readings.points.len());
    assert!(readings.points.iter().any(|point| point.value == 99.0));
}

#[test]
fn readings_that_a_kill_has_lost_are_a_gap_with_a_reason() {
    let report = of(&charted_and(true));
    let readings = report.signals.rows[0].readings.as_ref().unwrap();
    let [gap] = readings.gaps[..] else { panic!("{:?}", readings.gaps) };
    assert!(gap.to.duration_since(gap.from).as_secs() >= 30, "{gap:?}");
    let page = html(&report);
    assert!(page.contains("<rect class=\"gap\"") && page.matches("<polyline").count() == 2, "{page}");
    let text = markdown(&report);
    assert!(text.contains("None are on record between ") && text.contains("Belay was stopped or killed"), "{text}");
    assert!(of(&charted()).signals.rows[0].readings.as_ref().unwrap().gaps.is_empty());
}

#[test]
fn the_greatest_numbers_are_drawn_within_the_picture() {
    let mut report = of(&charted());
    let readings = report.signals.rows[0].readings.as_mut().unwrap();
    (readings.points[3].value, readings.points[4].value) = (f64::MAX, f64::MIN);
    (readings.greatest, readings.least) = (f64::MAX, f64::MIN);
    let page = html(&report);
    assert!(!page.contains("NaN") && !page.contains("inf\""), "{page}");
}

/// A limit of two seconds beside a reading of twenty-five milliseconds.
#[test]
fn the_time_of_an_answer_is_shown_with_its_unit() {
    let mut story = charted();
    let text = serde_json::to_string(&story.stage.journal).unwrap();
    let within = r#""errors":{"kind":"http","spec":{"http":{"status":[200],"within":"2s"}}"#;
    let text = text.replace(r#""errors":{"kind":"alarm","spec":{}"#, within);
    story.stage.journal = serde_json::from_str(&text).unwrap();
    let report = report(&story.stage.journal, &story.run).unwrap().unwrap();
    let readings = report.signals.rows.iter().find_map(|row| row.readings.as_ref()).unwrap();
    assert_eq!(readings.unit.as_ref().map(belay_report::Shown::as_str), Some("ms"));
    let (text, page) = (markdown(&report), html(&report));
    assert!(text.contains("in between from 0.08 ms to 7.25 ms"), "{text}");
    // An answer in time is unhealthy with another status.
    assert!(text.contains(", and status 200)") && page.contains(", and status 200</text>"), "{text}");
    assert!(page.contains("in between from 0.08 ms to 7.25 ms") && page.contains("0.08 to 7.25 ms</text>"), "{page}");
}

#[test]
fn values_have_the_unit_that_is_on_record() {
    let mut story = charted();
    let text = serde_json::to_string(&story.stage.journal).unwrap();
    let text = text.replace(r#""threshold":0.5"#, r#""threshold":0.5,"unit":"%""#);
    story.stage.journal = serde_json::from_str(&text).unwrap();
    let report = report(&story.stage.journal, &story.run).unwrap().unwrap();
    let (text, page) = (markdown(&report), html(&report));
    assert!(text.contains(r"(healthy: \< 0.5%)") && text.contains("in between from 0.08% to 7.25%"), "{text}");
    assert!(page.contains("healthy: &lt; 0.5%</text>") && page.contains("0.08 to 7.25%</text>"), "{page}");
}
