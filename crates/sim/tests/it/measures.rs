//! A rollback has the same times whoever measures it: a drill, a report, or the records alone.

use belay_core::{
    event::{Record, RunKind},
    measure::measure,
    migration::Migration,
};
use belay_engine::{DrillReport, Measured, drill_report};
use belay_report::{model::MeasureName, report};

use crate::{golden_scenes::SCENES, history::journal_of, scene::virtually};

fn seconds(time: Option<std::time::Duration>) -> Option<f64> {
    time.map(|time| (time.as_secs_f64() * 1000.0).round() / 1000.0)
}

fn folded(records: &[Record]) -> Migration {
    let mut state = Migration::new(records[0].stream.clone());
    records.iter().for_each(|record| state.evolve(record).unwrap());
    state
}

fn drill(records: &[Record]) -> Option<DrillReport> {
    virtually(async {
        let journal = journal_of(records).await;
        drill_report(&journal, &records[0].stream, &Measured::default()).await.unwrap()
    })
}

#[test]
fn drills_and_reports_have_the_times_that_the_records_show() {
    let (mut reports, mut drills) = (0, 0);
    for (name, scene) in SCENES {
        let records = scene();
        let state = folded(&records);
        let runs = state.past_runs.iter().map(AsRef::as_ref).chain(&state.run);
        for run in runs.filter(|run| run.kind != RunKind::Dry) {
            let measured = measure(&records, run);
            let report = report(&records, &run.id).unwrap().unwrap();
            let of = |name| report.measures.iter().find(|measure| measure.name == name);
            // A report shows no duration where the wall clock was set.
            for (of, time) in
                [(of(MeasureName::Detect), measured.detection()), (of(MeasureName::Decide), measured.decision())]
            {
                assert_eq!(of.and_then(|of| of.seconds), seconds(time), "{name}");
            }
            if measured.breach.is_some() {
                assert_eq!(of(MeasureName::Recover).and_then(|of| of.seconds), seconds(measured.recovery()), "{name}");
            }
            let lost: Option<f64> =
                report.data_loss.iter().try_fold(0.0_f64, |most, loss| Some(most.max(loss.seconds?)));
            assert_eq!(lost, seconds(measured.data_lost()), "{name}");
            reports += 1;
            if run.kind == RunKind::Drill
                && let Some(drill) = drill(&records)
            {
                let times = (drill.detection_s, drill.decision_s, drill.recovery_s, drill.confidence_s, drill.total_s);
                let expected = (
                    seconds(measured.detection()),
                    seconds(measured.decision()),
                    seconds(measured.recovery()),
                    seconds(measured.confidence()),
                    seconds(measured.total()),
                );
                assert_eq!(times, expected, "{name}");
                drills += 1;
            }
        }
    }
    assert!(reports > 10 && drills > 0, "{reports} {drills}");
}
