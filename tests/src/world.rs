//! A blue/green world in an emulator: `testbed/world.py`, seen from Rust.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::boto::Boto;

/// A seeded world. It talks to the emulator directly, past any [`crate::Proxy`]: what a test itself does is not recorded.
pub struct World {
    boto: Boto,
    /// What `seed` printed:
    ///
    /// ```json
    /// { "account": "123456789012", "region": "us-east-1", "name": "shop-1f2e",
    ///   "alb": { "listener": ARN, "rule": ARN, "load_balancer": ARN, "dimension": "app/shop-1f2e/...",
    ///            "target_groups": { "blue": { "arn", "name", "targets" }, "green": ... } },
    ///   "dns": { "zone": ID, "zone_name", "record": "www....", "type": "A", "ttl", "health_check",
    ///            "sets": { "blue": { "id", "weight" }, "green": ..., "extra0": ... } },
    ///   "alarms": { "errors": NAME, "latency": NAME, "database": NAME, "composite": NAME or null },
    ///   "database": null or { "instance", "snapshot", "table", "host", "port", "user", "name" } }
    /// ```
    pub json: Value,
}

impl World {
    /// Builds a world: everybody at blue. The options are those of `world.py seed`, such as `--prefix`, `--seed`,
    /// `--blue-target HOST:PORT`, `--authenticate`, `--stickiness`, `--health-check`, `--extra-sets`, `--database`, `--row`.
    pub fn seed(endpoint: &str, options: &[&str]) -> Self {
        let boto = Boto::at(endpoint);
        let json = boto.ask("seed", options, &Value::Null);
        Self { boto, json }
    }

    /// A text in [`World::json`], by its JSON pointer: `world.text("/dns/zone")`. Panics if there is none.
    #[track_caller]
    pub fn text(&self, pointer: &str) -> &str {
        let found = self.json.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {pointer} in {:#}", self.json))
    }

    /// Any command of `world.py`; see `world.py --help`.
    pub fn ask(&self, command: &str, arguments: &[&str]) -> Value {
        self.boto.ask(command, arguments, &Value::Null)
    }

    /// Any call, as boto3 makes it once: its answer, or `{ error, status, message }`.
    pub fn call(&self, service: &str, method: &str, arguments: &Value) -> Value {
        self.boto.call(service, method, arguments)
    }

    /// Shifts DNS, listener and rule to these weights, as a cutover would.
    pub fn set_weights(&self, blue: u16, green: u16) {
        self.set_some_weights(blue, green, &["dns", "listener", "rule"]);
    }

    /// The same for a part of it: `dns`, `listener`, `rule`.
    pub fn set_some_weights(&self, blue: u16, green: u16, parts: &[&str]) {
        let (blue, green) = (blue.to_string(), green.to_string());
        let mut arguments = vec![blue.as_str(), green.as_str()];
        for part in parts {
            arguments.extend(["--only", part]);
        }
        self.boto.ask("set-weights", &arguments, &self.json);
    }

    /// Sets the state of an alarm, `/alarms/errors` say, by its pointer: `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    pub fn set_alarm(&self, pointer: &str, state: &str) -> Value {
        self.ask("alarm", &[self.text(pointer), state])
    }

    /// The weights of the record now, by the side's name in `/dns/sets`.
    pub fn dns_weights(&self) -> BTreeMap<String, u64> {
        let sets = self.json["dns"]["sets"].as_object().expect("a seeded world has sets");
        let records = self.records();
        let found = records.as_array().into_iter().flatten().filter_map(|record| {
            let id = record["SetIdentifier"].as_str()?;
            let (side, _) = sets.iter().find(|(_, set)| set["id"] == id)?;
            Some((side.clone(), record["Weight"].as_u64()?))
        });
        found.collect()
    }

    /// The weights of the listener now, by `blue` and `green`.
    pub fn listener_weights(&self) -> BTreeMap<String, u64> {
        self.forward_weights(&self.listener()["DefaultActions"])
    }

    /// The weights of the rule now, by `blue` and `green`.
    pub fn rule_weights(&self) -> BTreeMap<String, u64> {
        self.forward_weights(&self.rule()["Actions"])
    }

    /// All records of the zone.
    pub fn records(&self) -> Value {
        self.ask("records", &[self.text("/dns/zone")])
    }

    /// The listener.
    pub fn listener(&self) -> Value {
        self.ask("listener", &[self.text("/alb/listener")])
    }

    /// The rule.
    pub fn rule(&self) -> Value {
        self.ask("rule", &[self.text("/alb/rule")])
    }

    /// The states of a side's targets now, such as `["healthy"]`.
    pub fn target_states(&self, side: &str) -> Vec<String> {
        let arn = &self.json["alb"]["target_groups"][side]["arn"];
        let groups = self.ask("target-groups", &[]);
        let group = groups.as_array().into_iter().flatten().find(|group| &group["TargetGroupArn"] == arn);
        let targets = group.and_then(|group| group["Targets"].as_array()).expect("the target group was seeded");
        targets.iter().map(|target| target["State"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Sends that many requests for `path` through the load balancer, and counts the answers by their body, or by their
    /// status where it is an error. With [`crate::Target`]s that answer `blue` and `green`, it shows who is served.
    /// Only on fakecloud; it binds the load balancer a second after it was made.
    pub fn traffic(&self, requests: usize, path: &str) -> BTreeMap<String, u64> {
        let answers = self.ask("traffic", &[self.text("/alb/load_balancer"), &requests.to_string(), path]);
        let answers = answers.as_object().expect("world.py counts them").iter();
        answers.map(|(body, count)| (body.clone(), count.as_u64().unwrap_or_default())).collect()
    }

    /// All RDS instances.
    pub fn databases(&self) -> Value {
        self.ask("databases", &[])
    }

    /// The status of an RDS instance; none if there is no such instance.
    pub fn database_status(&self, instance: &str) -> Option<String> {
        let found = self.databases();
        let found = found.as_array()?.iter().find(|found| found["DBInstanceIdentifier"] == instance)?;
        found["DBInstanceStatus"].as_str().map(str::to_owned)
    }

    /// The values in a table of an instance, read over its endpoint.
    pub fn rows(&self, instance: &str, table: &str) -> Vec<String> {
        texts(&self.ask("rows", &[instance, table]))
    }

    /// Adds values to a table of an instance, which it creates; gives back all.
    pub fn write_rows(&self, instance: &str, table: &str, values: &[&str]) -> Vec<String> {
        texts(&self.ask("write-rows", &[&[instance, table], values].concat()))
    }

    fn forward_weights(&self, actions: &Value) -> BTreeMap<String, u64> {
        let groups = self.json["alb"]["target_groups"].as_object().expect("a seeded world has target groups");
        let forward = actions.as_array().into_iter().flatten().find(|action| action["Type"] == "forward");
        let members = forward.and_then(|action| action["ForwardConfig"]["TargetGroups"].as_array());
        let found = members.into_iter().flatten().filter_map(|member| {
            let (side, _) = groups.iter().find(|(_, group)| group["arn"] == member["TargetGroupArn"])?;
            Some((side.clone(), member["Weight"].as_u64()?))
        });
        found.collect()
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
