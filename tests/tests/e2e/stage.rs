//! What every test needs: a world, a proxy before it, a Belay, and plans for that world.

use std::sync::OnceLock;

use belay_tests::{
    Belay, Emulator, Finished, HttpAnswer, Process, Proxy, Target, World, http_get, http_post, wait_until,
};
use serde_json::{Value, json};

/// The emulator that all tests share. It ends with the process of the tests.
pub(crate) fn aws() -> &'static Emulator {
    static AWS: OnceLock<Emulator> = OnceLock::new();
    AWS.get_or_init(Emulator::fakecloud)
}

/// The plan that most tests are about: listener and rule at once, DNS after them.
pub(crate) const PLAN: &str = r#"
belay: 1
migration: $name
summary: The shop moves from blue to green.

aws: { account: "$account", region: $region }

objectives: { rto: 15m }

signals:
  errors: { alarm: $errors }
  blue_ready: { target_health: { target_group: $blue, at_least: 1 } }

triggers:
  customers_hurt:
    when: errors
    for: 1s
    severity: critical
    scope: system_wide
    fix: unknown

steps:
  listener_back:
    action: alb.forward
    with: { listener: "$listener" }
    to: { $blue: 100, $green: 0 }
    require: [blue_ready]
    retry: { attempts: 5, backoff: 100ms..1s }
  rule_back:
    action: alb.forward
    with: { rule: "$rule" }
    to: { $blue: 100, $green: 0 }
    require: [blue_ready]
    retry: { attempts: 5, backoff: 100ms..1s }
  dns_back:
    needs: [listener_back, rule_back]
    action: route53.weights
    with: { zone: $zone, record: $record, type: A }
    to: { $blue_set: 100, $green_set: 0 }
    require: [blue_ready]
    retry: { attempts: 5, backoff: 100ms..1s }
    verify: [{ signal: errors, within: 1m }]

confirm: [{ signal: errors, within: 1m, for: 1s }]
"#;

/// The same without a load balancer: `page` stands for the old side, and nothing has to be probed by AWS first.
pub(crate) const DNS_PLAN: &str = r#"
belay: 1
migration: $name
aws: { account: "$account", region: $region }
signals:
  errors: { alarm: $errors }
  page: { http: { url: "$page", status: 200 } }
triggers:
  customers_hurt: { when: errors, for: 1s, severity: critical, scope: system_wide, fix: unknown }
steps:
  dns_back:
    action: route53.weights
    with: { zone: $zone, record: $record, type: A }
    to: { $blue_set: 100, $green_set: 0 }
    require: [page]
    retry: { attempts: 5, backoff: 100ms..1s }
confirm: [{ signal: page, within: 1m }]
"#;

/// A blue/green world, seen by Belay through a proxy.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) proxy: Proxy,
    pub(crate) belay: Belay,
    pub(crate) blue: Target,
    pub(crate) green: Target,
    /// A page that says whether the shop works.
    pub(crate) page: Target,
}

impl Stage {
    /// With all traffic at blue. `options` are those of `world.py seed`.
    pub(crate) fn new(prefix: &str, options: &[&str]) -> Self {
        let (blue, green, page) = (Target::start("blue"), Target::start("green"), Target::start("the shop is open"));
        let targets = [blue.address(), green.address()];
        let own = ["--prefix", prefix, "--blue-target", &targets[0], "--green-target", &targets[1]];
        let world = World::seed(aws().url(), &[&own, options].concat());
        let proxy = Proxy::to(aws().url());
        let belay = Belay::at(proxy.url());
        Self { world, proxy, belay, blue, green, page }
    }

    /// The same, after the cutover: all traffic at green.
    pub(crate) fn cut_over(prefix: &str, options: &[&str]) -> Self {
        let weights = ["--blue", "0", "--green", "100", "--blue-dns", "0", "--green-dns", "100"];
        Self::new(prefix, &[&weights, options].concat())
    }

    /// What `$zone`, `$listener` and the like stand for in a plan.
    pub(crate) fn fill(&self, template: &str) -> String {
        let world = |pointer| self.world.text(pointer).to_owned();
        // Longer names first: `$blue` begins `$blue_set`.
        let values = [
            ("$account", world("/account")),
            ("$region", world("/region")),
            ("$name", world("/name")),
            ("$zone", world("/dns/zone")),
            ("$record", world("/dns/record").trim_end_matches('.').to_owned()),
            ("$blue_set", world("/dns/sets/blue/id")),
            ("$green_set", world("/dns/sets/green/id")),
            ("$blue", world("/alb/target_groups/blue/name")),
            ("$green", world("/alb/target_groups/green/name")),
            ("$listener", world("/alb/listener")),
            ("$rule", world("/alb/rule")),
            ("$errors", world("/alarms/errors")),
            ("$latency", world("/alarms/latency")),
            ("$database_alarm", world("/alarms/database")),
            ("$composite", world("/alarms/composite")),
            ("$page", self.page.url()),
        ];
        values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    /// Writes `plan.yaml` for this world, and gives back its path.
    pub(crate) fn plan(&self, template: &str) -> String {
        self.belay.write("plan.yaml", self.fill(template).trim_start())
    }

    pub(crate) fn name(&self) -> &str {
        self.world.text("/name")
    }

    /// Waits until AWS has seen that a side's target is well, or not. Two probes, five seconds apart.
    pub(crate) fn wait_for_target(&self, side: &str, state: &str) {
        let group = json!({ "TargetGroupArn": self.world.json["alb"]["target_groups"][side]["arn"] });
        wait_until(&format!("{side} to be {state}"), || {
            let answer = self.world.call("elbv2", "describe_target_health", &group);
            (answer["TargetHealthDescriptions"][0]["TargetHealth"]["State"] == state).then_some(())
        });
    }

    /// `belay run`, with a reason and JSON lines.
    #[track_caller]
    pub(crate) fn run(&self, plan: &str) -> Finished {
        self.belay.run(&["run", plan, "--reason", "a test", "--json"])
    }

    /// Where the traffic goes: the weights of blue and green in DNS, listener and rule.
    pub(crate) fn weights(&self) -> [(u64, u64); 3] {
        let all = [self.world.dns_weights(), self.world.listener_weights(), self.world.rule_weights()];
        all.map(|weights| (weights["blue"], weights["green"]))
    }

    /// Starts the daemon; the command line finds it from now on.
    #[track_caller]
    pub(crate) fn serve(&mut self, plan: &str) -> Daemon {
        self.serve_with(&["serve", "--plan", plan])
    }

    /// The same, as these arguments have it.
    #[track_caller]
    pub(crate) fn serve_with(&mut self, arguments: &[&str]) -> Daemon {
        self.try_serve(arguments).unwrap_or_else(|ended| panic!("the daemon did not come up: {ended}"))
    }

    /// The same, or how it ended before it was there.
    #[track_caller]
    pub(crate) fn try_serve(&mut self, arguments: &[&str]) -> Result<Daemon, Finished> {
        self.belay.env("BELAY_LISTEN", "127.0.0.1:0").env("BELAY_POLL", "500ms");
        let mut process = self.belay.spawn(arguments);
        let listening = wait_until("the daemon to listen, or to end", || {
            let running = process.is_running();
            let stderr = process.stderr();
            let line = stderr.lines().find(|line| line.contains("listening on http://")).map(str::to_owned);
            (line.is_some() || !running).then_some(line)
        });
        let Some(line) = listening else { return Err(process.wait()) };
        let address = line.split("http://").nth(1).unwrap();
        let address: String = address.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
        let url = format!("http://{address}");
        self.belay.env("BELAY_URL", &url);
        Ok(Daemon { process: Some(process), url, migration: self.name().to_owned() })
    }

    /// The same, and arms.
    #[track_caller]
    pub(crate) fn serve_armed(&mut self, plan: &str) -> Daemon {
        let daemon = self.serve(plan);
        let armed = self.belay.run(&["arm"]);
        assert_eq!(armed.code, 0, "{armed}");
        daemon
    }
}

/// A running `belay serve`. What it has logged is shown when a test fails.
pub(crate) struct Daemon {
    process: Option<Process>,
    pub(crate) url: String,
    migration: String,
}

impl Daemon {
    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = http_get(&format!("{}{path}", self.url)).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> HttpAnswer {
        http_post(&format!("{}{path}", self.url), body).unwrap()
    }

    /// The migration as it is now.
    #[track_caller]
    pub(crate) fn migration(&self) -> Value {
        self.get(&format!("/v1/migrations/{}", self.migration))
    }

    /// Waits until `look` finds something in the migration.
    #[track_caller]
    pub(crate) fn wait_until<T>(&self, what: &str, look: impl Fn(&Value) -> Option<T>) -> T {
        wait_until(what, || look(&self.migration()))
    }

    /// Waits until the migration is in a state, and gives it back; another state in which it would stay fails.
    #[track_caller]
    pub(crate) fn wait_for_state(&self, state: &str) -> Value {
        let ends = ["rolled_back", "halted", "aborted"];
        let found = self.wait_until(&format!("the migration to be {state}"), |migration| {
            let now = migration["state"].as_str().unwrap();
            (now == state || ends.contains(&now)).then(|| migration.clone())
        });
        assert_eq!(found["state"], state, "{found:#}");
        found
    }

    /// SIGKILL, and its end.
    #[track_caller]
    pub(crate) fn kill(mut self) -> Finished {
        self.process.take().unwrap().kill()
    }

    /// SIGTERM, and its end.
    #[track_caller]
    pub(crate) fn terminate(mut self) -> Finished {
        self.process.take().unwrap().terminate()
    }
}

impl Drop for Daemon {
    #[allow(clippy::print_stderr)]
    fn drop(&mut self) {
        if let Some(process) = self.process.as_ref().filter(|_| std::thread::panicking()) {
            eprintln!("--- what the daemon logged\n{}", process.stderr());
        }
    }
}
