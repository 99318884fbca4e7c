//! A daemon whose every wait is a lever in the hands of the test.

use belay_tests::{Finished, Hold, HttpAnswer, Machine, Outcome, Target, http, http_get, wait_until};
use serde_json::{Value, json};

use crate::stage::{Daemon, Stage};

/// One step, and a page for each thing that it, its trigger and the confirmation wait for. All may wait for an hour, so
/// that nothing ends but by a lever.
const PLAN: &str = r#"
belay: 1
migration: $name
aws: { account: "$account", region: $region }
signals:
  shop: { http: { url: "$shop", status: 200 } }
  ready: { http: { url: "$ready", status: 200 } }
  well: { http: { url: "$well", status: 200 } }
  calm: { http: { url: "$calm", status: 200 } }
triggers:
  hurt: { when: shop, for: 0s, severity: minor }
steps:
  dns_back:
    action: route53.weights
    with: { zone: $zone, record: $record, type: A }
    to: { $blue_set: 100, $green_set: 0 }
    require: [{ signal: ready, within: 1h }]
    timeout: 1h
    retry: { attempts: 5, backoff: 100ms..1s }
    verify: [{ signal: well, within: 1h }]
confirm: [{ signal: calm, within: 1h }]
"#;

pub(super) const STEP: &str = "dns_back";

/// The pages behind the plan's signals, all healthy at first.
pub(super) struct Levers {
    /// Fires the trigger.
    pub(super) shop: Target,
    /// The step's interlock.
    pub(super) ready: Target,
    /// The step's gate.
    pub(super) well: Target,
    /// The run's confirmation.
    pub(super) calm: Target,
}

pub(super) struct Scene {
    pub(super) stage: Stage,
    pub(super) machine: Machine,
    pub(super) levers: Levers,
    /// Where calls to AWS wait, in the states that have such.
    pub(super) hold: Hold,
    plan: String,
    daemon: Option<Daemon>,
}

impl Scene {
    /// Everybody at green, and a daemon with the plan, which `change` may change first. Nothing is armed.
    pub(super) fn open(prefix: &str, change: fn(&str) -> String) -> Self {
        let mut stage = Stage::cut_over(prefix, &[]);
        let machine = Machine::under(&mut stage.belay, "belay.db");
        let page = || Target::start("a page");
        let levers = Levers { shop: page(), ready: page(), well: page(), calm: page() };
        let mut text = change(PLAN);
        for (name, page) in
            [("$shop", &levers.shop), ("$ready", &levers.ready), ("$well", &levers.well), ("$calm", &levers.calm)]
        {
            text = text.replace(name, &page.url());
        }
        let plan = stage.fill(&text).trim_start().to_owned();
        let mut scene = Self { stage, machine, levers, hold: Hold::new(), plan, daemon: None };
        scene.restore_plan();
        scene.start();
        scene
    }

    // --- the process -----------------------------------------------------------------------------------------------

    pub(super) fn start(&mut self) {
        self.daemon = Some(self.stage.serve(&self.plan_glob()));
    }

    /// How it ended, if it did not come up.
    pub(super) fn try_start(&mut self) -> Result<(), Finished> {
        self.daemon = Some(self.stage.try_serve(&["serve", "--plan", &self.plan_glob()])?);
        Ok(())
    }

    pub(super) fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    pub(super) fn daemon_mut(&mut self) -> &mut Daemon {
        self.daemon.as_mut().unwrap()
    }

    /// The daemon, to be ended.
    pub(super) fn take_daemon(&mut self) -> Daemon {
        self.daemon.take().unwrap()
    }

    // --- the plan file ---------------------------------------------------------------------------------------------

    pub(super) fn plan_path(&self) -> String {
        self.stage.belay.folder().join("plan.yaml").to_str().unwrap().to_owned()
    }

    /// As in a folder of plans, where files come and go.
    fn plan_glob(&self) -> String {
        self.plan_path().replace("plan.yaml", "plan*.yaml")
    }

    pub(super) fn restore_plan(&self) {
        self.stage.belay.write("plan.yaml", &self.plan);
    }

    pub(super) fn change_plan(&self, change: impl Fn(&str) -> String) {
        let changed = change(&self.plan);
        assert_ne!(changed, self.plan);
        self.stage.belay.write("plan.yaml", &changed);
    }

    // --- what people do --------------------------------------------------------------------------------------------

    /// A verb on the migration.
    pub(super) fn ask(&self, verb: &str, body: Value) -> Result<HttpAnswer, String> {
        self.send(&format!("/v1/migrations/{}/{verb}", self.stage.name()), body)
    }

    /// A verb on the run, or on its step: `steps/dns_back/approve`.
    pub(super) fn ask_run(&self, verb: &str, body: Value) -> Result<HttpAnswer, String> {
        self.send(&format!("/v1/runs/{}/{verb}", self.run_id()), body)
    }

    fn send(&self, path: &str, mut body: Value) -> Result<HttpAnswer, String> {
        body["reason"] = json!("by a test");
        let url = format!("{}{path}", self.daemon().url);
        http("POST", &url, &[("content-type", "application/json")], &body.to_string())
            .map_err(|error| error.to_string())
    }

    #[track_caller]
    pub(super) fn must(&self, verb: &str) {
        let answer = self.ask(verb, json!({})).unwrap();
        assert!(answer.status < 300, "{verb}: {answer:?}");
    }

    #[track_caller]
    pub(super) fn must_run(&self, verb: &str, body: Value) {
        let answer = self.ask_run(verb, body).unwrap();
        assert!(answer.status < 300, "{verb}: {answer:?}");
    }

    /// Arms and rolls back.
    #[track_caller]
    pub(super) fn roll_back(&mut self) {
        self.must("arm");
        self.must("rollback");
    }

    /// Everybody is at green again and all is well, whatever was before. Nothing is armed.
    #[track_caller]
    pub(super) fn reset(&mut self) {
        let Levers { shop, ready, well, calm } = &self.levers;
        [shop, ready, well, calm].into_iter().for_each(|page| page.set_healthy(true));
        self.stage.proxy.clear_faults();
        self.stage.proxy.clear();
        self.stage.world.set_some_weights(0, 100, &["dns"]);
    }

    // --- what is seen ----------------------------------------------------------------------------------------------

    pub(super) fn migration(&self) -> Value {
        self.daemon().migration()
    }

    pub(super) fn run_id(&self) -> String {
        self.migration()["run"]["id"].as_str().expect("there is a run").to_owned()
    }

    /// Waits until the migration is like this, and gives it back; otherwise says how it is.
    #[track_caller]
    pub(super) fn wait_for(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let look = || {
            last = self.migration();
            is(&last).then(|| last.clone())
        };
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wait_until(what, look)));
        found.unwrap_or_else(|_| panic!("waited in vain for {what}: {:#}", self.migration()))
    }

    /// Waits until the daemon knows the migration, or does not: without its file it lets go of what is not live.
    #[track_caller]
    pub(super) fn wait_for_guarded(&self, guarded: bool) {
        let url = format!("{}/v1/migrations/{}", self.daemon().url, self.stage.name());
        let status = if guarded { 200 } else { 404 };
        let look = || http_get(&url).ok().filter(|answer| answer.status == status);
        wait_until(&format!("the migration to be guarded: {guarded}"), look);
    }

    #[track_caller]
    pub(super) fn wait_for_phase(&self, phase: &str) -> Value {
        self.wait_for(&format!("the step to be {phase}"), |migration| phase_of(migration) == phase)
    }

    #[track_caller]
    pub(super) fn wait_for_state(&self, state: &str) -> Value {
        self.wait_for(&format!("the migration to be {state}"), |migration| migration["state"] == state)
    }

    /// The mutating calls since [`Scene::reset`].
    pub(super) fn sent(&self) -> usize {
        self.stage.proxy.mutating_calls().len()
    }

    /// Waits until AWS has been asked for something that it does not answer yet.
    #[track_caller]
    pub(super) fn wait_for_pending(&self, action: &'static str) {
        self.stage.proxy.wait_until(&format!("{action} to hang"), |calls| {
            calls.iter().any(|call| call.action == action && call.outcome == Outcome::Pending).then_some(())
        });
    }

    #[track_caller]
    pub(super) fn assert_intact(&self, moment: &str) {
        let audit = self.stage.belay.run(&["audit", "--json"]);
        assert_eq!(audit.code, 0, "{moment}: {audit}");
        assert_eq!(audit.json()["intact"], true, "{moment}: {audit}");
    }
}

pub(super) fn phase_of(migration: &Value) -> &str {
    migration["run"]["steps"][STEP]["phase"].as_str().unwrap_or_default()
}
