//! Readers that Application Auto Scaling has made. It makes them again, as many as its policy wants then, so a restore does not:
//! a reader that Belay made under such a name would be a fixed one, and would come on top of those.

use super::state::{Cluster, Member};
use crate::rds::{spec::KeepEndpoint, state::Instance};

/// Of their names, and the tag that they have (Aurora User Guide, "Aurora Auto Scaling").
const NAMES: &str = "application-autoscaling-";
const TAG: &str = "application-autoscaling:resourceId";

/// Whether it made the member.
pub(super) fn is_one(member: &Member) -> bool {
    let has_tag = |found: &Instance| found.tags.contains_key(TAG);
    member.name.starts_with(NAMES) || [&member.instance, &member.failed].into_iter().flatten().any(has_tag)
}

/// The names of a cluster's readers that were made so. A writer counts as any other member: the cluster needs one.
pub(in crate::rds) fn readers<'a>(cluster: &'a Cluster, members: &[Member]) -> Vec<&'a str> {
    let is_known = |name: &str| members.iter().any(|member| member.name == name && is_one(member));
    let readers = cluster.members.iter().filter(|listed| !listed.writer).map(|listed| listed.name.as_str());
    let readers: Vec<&str> = readers.filter(|name| name.starts_with(NAMES) || is_known(name)).collect();
    // In the middle of a failover no member is the writer.
    if readers.len() == cluster.members.len() { Vec::new() } else { readers }
}

/// For people: what becomes of them. `cluster`: the name of the one that is replaced.
pub(in crate::rds) fn told(count: usize, cluster: &str, keep: KeepEndpoint) -> String {
    let (readers, them) = if count == 1 { ("reader", "it") } else { ("readers", "them") };
    let target = format!("--service-namespace rds --resource-id cluster:{cluster}");
    match keep {
        KeepEndpoint::Rename => format!(
            "{count} {readers} that Application Auto Scaling made will be missing until it makes {them} again, as its policy wants: its \
             scalable target goes by the name of the cluster, which the restored one gets. Look whether the target is still there \
             (`aws application-autoscaling describe-scalable-targets {}`)",
            target.replace("--resource-id", "--resource-ids")
        ),
        KeepEndpoint::Cname | KeepEndpoint::None => format!(
            "{count} {readers} that Application Auto Scaling made will be missing, and it makes none for the restored cluster: its \
             scalable target is bound to cluster:{cluster}. Register one for the restored cluster (`aws application-autoscaling \
             register-scalable-target --service-namespace rds --scalable-dimension rds:cluster:ReadReplicaCount --resource-id \
             cluster:NAME --min-capacity MIN --max-capacity MAX`), with a policy like the present one"
        ),
    }
}
