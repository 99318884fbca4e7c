//! Evidence is gathered beside the rollback: a source that hangs or breaks holds nothing up, and a crash asks again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use belay_core::{event::Event, run::RunState};
use belay_journal::AppendFault;
use belay_plan::model::{self, Plan};
use belay_ports::{
    Evidence, Fut, Gathered, Permission,
    evidence::{EvidenceSource, Finding, Question},
};
use belay_sim::Faults;

use crate::{
    plans::{plan, weights},
    scene::{Scene, virtually},
};

/// CloudTrail answers after a time, or panics; the history of the alarms never answers.
struct Slow {
    after: Option<Duration>,
    asked: AtomicUsize,
}

impl Slow {
    fn after(after: Option<Duration>) -> Arc<Self> {
        Arc::new(Self { after, asked: AtomicUsize::new(0) })
    }
}

impl Evidence for Slow {
    fn gather<'a>(&'a self, question: &'a Question) -> Fut<'a, Gathered> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            if question.source == EvidenceSource::AlarmHistory {
                return std::future::pending().await;
            }
            tokio::time::sleep(self.after.expect("it breaks")).await;
            let (what, resource) = ("ModifyListener".to_owned(), "checkout".to_owned());
            Gathered {
                findings: vec![Finding { at: question.opened, what, resource, who: None, detail: None }],
                notes: vec![],
            }
        })
    }

    fn permissions(&self, _plan: &Plan) -> Vec<Permission> {
        Vec::new()
    }
}

fn scene(slow: &Arc<Slow>) -> Scene {
    let mut plan = plan([("dns", weights())]);
    plan.evidence = Some(model::Evidence { cloudtrail: Some(Duration::from_secs(1800)), ..Default::default() });
    let mut scene = Scene::new(plan, 1, Faults::none());
    scene.ports.evidence = slow.clone();
    scene
}

/// By source, what is on record: how many findings, and the notes.
fn gathered(scene: &Scene) -> Vec<(EvidenceSource, usize, Vec<String>)> {
    let records = scene.witness.records();
    let of = |record: &belay_core::event::Record| match &record.event {
        Event::EvidenceGathered { source, findings, notes, .. } => Some((*source, findings.len(), notes.clone())),
        _ => None,
    };
    records.iter().filter_map(of).collect()
}

const HUNG: &str = "no answer within 60 s";

#[test]
fn a_source_that_hangs_holds_no_rollback_up_and_is_on_record_as_silent() {
    virtually(async {
        let slow = Slow::after(Some(Duration::from_secs(20)));
        let scene = scene(&slow);
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        scene.until_run(&handle, RunState::RolledBack).await;
        let took = scene.world.calls().len();
        assert_eq!((took, gathered(&scene).len()), (1, 0), "it did not wait for any");
        scene.until(&handle, |_| gathered(&scene).len() == 2).await;
        let (trail, alarms) = (EvidenceSource::Cloudtrail, EvidenceSource::AlarmHistory);
        assert_eq!(gathered(&scene), [(trail, 1, vec![]), (alarms, 0, vec![HUNG.to_owned()])]);
        assert_eq!(slow.asked.load(Ordering::Relaxed), 2, "each is asked once");
        scene.assert_sound(Some(&handle.snapshot().state));
    });
}

#[test]
fn a_source_that_breaks_is_a_note() {
    virtually(async {
        let slow = Slow::after(None);
        let scene = scene(&slow);
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        scene.until(&handle, |_| gathered(&scene).len() == 2).await;
        assert!(
            gathered(&scene)[0].2[0].contains("internal error: asking this source panicked"),
            "{:?}",
            gathered(&scene)
        );
        scene.until_run(&handle, RunState::RolledBack).await;
    });
}

#[test]
fn a_crash_at_any_append_leaves_each_answer_on_record_once() {
    for append in 1..=8 {
        virtually(async {
            let slow = Slow::after(Some(Duration::ZERO));
            let scene = scene(&slow);
            let handle = scene.open().await;
            scene.arm(&handle).await.unwrap();
            scene.journal.fail_at(scene.journal.appends() + append, AppendFault::CrashAfter);
            scene.world.cut_over();
            scene.journal.crashed().await;
            drop(handle);
            scene.journal.restart();
            let handle = scene.open().await;
            scene.until_run(&handle, RunState::RolledBack).await;
            let trail = || {
                let found = gathered(&scene).into_iter().filter(|(source, ..)| *source == EvidenceSource::Cloudtrail);
                found.count()
            };
            scene.until(&handle, |_| trail() > 0).await;
            assert_eq!(trail(), 1, "{append}: {:#?}", scene.transcript());
            scene.assert_sound(Some(&handle.snapshot().state));
        });
    }
}

/// Also when the daemon was away meanwhile, and the migration is over and disarmed.
#[test]
fn cloudtrail_is_asked_again_after_a_quarter_of_an_hour_over_a_restart() {
    virtually(async {
        let slow = Slow::after(Some(Duration::ZERO));
        let scene = scene(&slow);
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        scene.until_run(&handle, RunState::RolledBack).await;
        let of = |source| gathered(&scene).into_iter().filter(|(from, ..)| *from == source).count();
        scene.until(&handle, |_| of(EvidenceSource::Cloudtrail) == 1).await;
        let opened = handle.snapshot().state.past_incidents[0].opened;
        drop(handle);
        scene.clock.sleep(Duration::from_secs(300)).await;
        let handle = scene.open().await;
        scene.until(&handle, |_| of(EvidenceSource::CloudtrailLater) == 1).await;
        let late = scene.clock.now().duration_since(opened);
        assert!((960..970).contains(&late.as_secs()), "{late}");
        scene.clock.sleep(Duration::from_secs(3600)).await;
        assert_eq!((of(EvidenceSource::Cloudtrail), of(EvidenceSource::CloudtrailLater)), (1, 1));
        scene.assert_sound(Some(&handle.snapshot().state));
        assert!(!handle.snapshot().state.is_pending());
    });
}

#[test]
fn nobody_is_asked_about_an_incident_of_the_day_before_yesterday() {
    virtually(async {
        let slow = Slow::after(Some(Duration::ZERO));
        let scene = scene(&slow);
        let handle = scene.open().await;
        scene.armed_and_cut_over(&handle).await;
        scene.until_run(&handle, RunState::RolledBack).await;
        let asked = scene.until(&handle, |_| gathered(&scene).len() == 1).await;
        assert!(asked.state.is_pending());
        drop(handle);
        scene.clock.sleep(Duration::from_secs(2 * 86_400)).await;
        let before = slow.asked.load(Ordering::Relaxed);
        let handle = scene.open().await;
        scene.until(&handle, |_| gathered(&scene).iter().any(|one| one.0 == EvidenceSource::CloudtrailLater)).await;
        let (_, found, notes) = gathered(&scene).pop().unwrap();
        assert!(found == 0 && notes[0].contains("not asked a second time"), "{notes:?}");
        assert_eq!(slow.asked.load(Ordering::Relaxed), before);
    });
}
