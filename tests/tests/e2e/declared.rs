//! What a plan needs of AWS, as `belay iam` writes it down: all forms say the same.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use belay_aws::channels::AwsChannels;
use belay_aws::iam::{self, Only, Policy};
use belay_aws::session::{Access, Aws};
use belay_aws::{AwsEvidence, AwsSystems};
use belay_plan::catalogue::Catalogue;
use belay_plan::model::{AwsTarget, Plan};
use belay_ports::{Clock, Condition, Fut, Permission};
use belay_probes::Probes;
use belay_tests::policies::{Granted, in_cloudformation, in_json, in_terraform, of_document};
use indexmap::IndexMap;
use serde_json::Value;

/// Nothing here asks for the time: permissions are pure.
struct NoClock;

impl Clock for NoClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep<'a>(&'a self, _time: Duration) -> Fut<'a, ()> {
        Box::pin(std::future::pending())
    }
}

/// The plan as the binary reads it.
fn load(text: &str) -> Plan {
    let actions = belay_aws_catalogue::action_specs().into_iter().chain(belay_local::Programs::specs());
    let signals = belay_aws_catalogue::signal_specs().into_iter().chain(Probes::specs());
    let channels = belay_aws_catalogue::channel_specs().into_iter().chain(belay_channels::Channels::specs());
    let catalogue = Catalogue::new(actions, signals).with_channels(channels, belay_channels::check_text);
    let loaded = belay_plan::load("plan.yaml", text, &catalogue);
    loaded.unwrap_or_else(|errors| panic!("{}", errors[0].render(false))).plan
}

/// What the steps, signals and channels of a plan declare, and its name.
pub(crate) fn needed(text: &str) -> (String, IndexMap<AwsTarget, BTreeSet<Permission>>) {
    let plan = load(text);
    let aws = Aws::new(Access::ReadOnly, Arc::new(NoClock), Arc::new(()), Vec::new());
    let channels = AwsChannels::new(aws.clone(), Arc::new(NoClock), Arc::new(belay_channels::Texts));
    let evidence = AwsEvidence::new(aws.clone(), Arc::new(NoClock));
    let systems = AwsSystems::new(aws, Arc::new(NoClock));
    let needed = belay_engine::permissions(&systems, &systems, (&channels, &evidence), &plan, None);
    (plan.migration, needed)
}

/// The permissions that a plan declares, read back from each form in which `belay iam` prints them.
pub(crate) fn declared(text: &str) -> BTreeSet<Permission> {
    let (migration, needed) = needed(text);
    let parts = [Only::Watch, Only::Act].map(|only| {
        let granted = granted(&iam::policies(&migration, &needed, Some(only)));
        granted.into_iter().map(|granted| permission(granted, only == Only::Act)).collect::<BTreeSet<_>>()
    });
    let found = &parts[0] | &parts[1];
    assert_eq!(found, needed.into_values().flatten().collect(), "nothing is lost on the way, and nothing comes in");
    let pairs = |permissions: BTreeSet<Permission>| {
        let pairs = permissions.into_iter().map(|permission| (permission.action, permission.resource));
        pairs.collect::<BTreeSet<_>>()
    };
    let whole = granted(&iam::policies(&migration, &self::needed(text).1, None));
    let whole = whole.into_iter().map(|granted| permission(granted, false)).collect();
    assert_eq!(pairs(whole), pairs(found.clone()), "watch and act are the whole");
    found
}

/// What policies grant, which is the same in all three forms.
fn granted(policies: &[Policy]) -> BTreeSet<Granted> {
    let printed = |document: Value| serde_json::from_str::<Value>(&format!("{document:#}")).unwrap();
    let json = in_json(&printed(iam::json(policies)));
    let json = json.into_iter().filter(|document| *document != Value::Array(Vec::new())).collect::<Vec<_>>();
    for document in &json {
        assert!(document.to_string().len() <= iam::SIZE_MAX, "{document:#}");
    }
    assert_eq!(in_terraform(&iam::terraform(policies)), json, "as Terraform");
    assert_eq!(in_cloudformation(&printed(iam::cloudformation(policies))), json, "as CloudFormation");
    json.iter().flat_map(of_document).collect()
}

fn permission(Granted { effect, action, resource, conditions }: Granted, mutates: bool) -> Permission {
    assert_eq!(effect, "Allow");
    let conditions = conditions.into_iter().map(|(operator, key, values)| {
        let [value] = <[String; 1]>::try_from(values).expect("one value: several are alternatives");
        Condition { operator, key, value }
    });
    let mut conditions: Vec<_> = conditions.collect();
    conditions.sort();
    Permission { action, resource, mutates, conditions }
}
