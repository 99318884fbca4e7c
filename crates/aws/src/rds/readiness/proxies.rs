//! Whether the role could lead a proxy to the restored database: none leads to the present one now, but one may by the time of a rollback.

use std::collections::BTreeSet;

use belay_ports::{Check, CheckVerdict, Scope};

use crate::{
    iam::simulation,
    rds::{Observed, With, names::Names, permissions::Permissions, proxies, spec::Subject},
    session::Aws,
};

/// Empty where proxies are not moved, and where there are some: what they take is needed then, and checked with all else.
pub(in crate::rds) async fn checks(aws: &Aws, scope: &Scope, with: &With, now: &Observed) -> Vec<Check> {
    let links = match now {
        Observed::Instance(state) => &state.links,
        Observed::Cluster(state) => &state.links,
    };
    let Some(permissions) = links.as_ref().and_then(|_| perhaps(scope, with)) else { return Vec::new() };
    let found = simulation::checks(aws, &scope.aws, &permissions.list).await;
    let denied = found.into_iter().filter(|check| check.verdict == CheckVerdict::NoGo);
    let actions: BTreeSet<String> =
        denied.filter_map(|check| Some(check.subject.split_once(' ')?.0.to_owned())).collect();
    let warning = |action: String| {
        let found = "not allowed; no proxy leads to the database now, and one that does at a rollback could not be led to the restored one";
        Check::warn("permission", &action, found)
            .wanted("allowed, for a proxy that is added before the rollback")
            .cure(format!("attach the statement for {action} that `belay iam PLAN` prints"))
    };
    actions.into_iter().map(warning).collect()
}

/// What it would take to move one, where the plan's policy does not contain it.
fn perhaps(scope: &Scope, with: &With) -> Option<Permissions> {
    let (word, name) = match &with.subject {
        Subject::Instance(name) => ("db", name),
        Subject::Cluster(name) => ("cluster", name),
    };
    let (mut made, names) = (Permissions::new(scope), Names::new(name, None));
    made.proxies(scope, with, word, &names);
    (made.list.is_empty() && proxies::moves(with)).then(|| {
        made.move_proxies(word, &names);
        made
    })
}

#[cfg(test)]
mod tests {
    use belay_core::change::BaselineEntry;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing;

    fn found(without: Value, proxies: &[&str]) -> Option<Vec<String>> {
        let with = json!({ "instance": "orders", "from": { "snapshot": "pre" }, "without": without });
        let links = json!({ "deployments": [], "integrations": [], "proxies": proxies, "unread": [] });
        let doc = json!({ "links": links });
        let entry = BaselineEntry { action: String::new(), resource: String::new(), doc };
        let scope = Scope { baseline: Some(entry), ..testing::scope(Value::Null, None, None) };
        let made = perhaps(&scope, &With::deserialize(with).unwrap())?;
        Some(made.list.into_iter().map(|one| one.action).collect::<BTreeSet<_>>().into_iter().collect())
    }

    #[test]
    fn what_a_proxy_would_take_is_asked_for_where_there_is_none() {
        let both = ["rds:DeregisterDBProxyTargets", "rds:RegisterDBProxyTargets"].map(ToOwned::to_owned);
        assert_eq!(found(json!([]), &[]), Some(both.to_vec()));
        assert_eq!(found(json!([]), &["orders-proxy"]), None, "the policy contains it");
        assert_eq!(found(json!(["proxies"]), &[]), None, "they stay with the replaced database");
    }
}
