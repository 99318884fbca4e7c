//! What stays with a database when another one takes its place, and cannot be carried over. Pure.

use std::collections::BTreeSet;

use super::{source::Kind, state::Attached};

/// The replaced database, as far as something of it stays behind.
pub(super) struct Replaced<'a> {
    pub(super) kind: Kind,
    pub(super) name: &'a str,
    /// After the swap.
    pub(super) kept_as: &'a str,
    /// What takes its place, after the swap.
    pub(super) by: &'a str,
    pub(super) resource_id: Option<&'a str>,
    pub(super) attached: &'a Attached,
    pub(super) proxies: &'a [String],
    pub(super) custom_endpoints: &'a [String],
    pub(super) authenticates_by_iam: bool,
}

impl Replaced<'_> {
    /// For people: each thing with what it means, but for what the plan does without. `new_id`: the restored one's resource id.
    pub(super) fn left_behind(&self, new_id: Option<&str>, without: &BTreeSet<String>) -> Vec<String> {
        let (name, attached) = (self.name, self.attached);
        let mut told = Vec::new();
        let mut tell = |word: &str, what: String| {
            if !without.contains(word) {
                told.push(format!("{word}: {what}"));
            }
        };
        if let (true, Some(old_id), Some(new_id)) = (self.authenticates_by_iam, self.resource_id, new_id)
            && old_id != new_id
        {
            tell(
                "resource_id",
                format!(
                    "was {old_id}, is {new_id}: IAM policies for database logins (`rds-db:connect` on dbuser:{old_id}/*) deny them \
                 until they name the new one"
                ),
            );
        }
        if !attached.read_replicas.is_empty() {
            tell("read_replicas", format!("{} go on to replicate from {name}", attached.read_replicas.join(", ")));
        }
        if let Some(source) = &attached.replicates_from {
            tell("replication_source", format!("{name} replicated from {source}, the restored one does not"));
        }
        if !attached.replicated_backups.is_empty() {
            tell("cross_region_backups", format!("{} are of {name}", attached.replicated_backups.join(", ")));
        }
        if attached.activity_stream {
            tell("activity_stream", format!("that of {name} does not show the restored one"));
        }
        if !self.proxies.is_empty() {
            tell("proxies", format!("{} lead to {name}: {}", self.proxies.join(", "), self.proxies_by_hand()));
        }
        if !self.custom_endpoints.is_empty() {
            tell("custom_endpoints", format!("{} belong to {name}", self.custom_endpoints.join(", ")));
        }
        told
    }

    /// What a person does where a record is pointed at the restored database: it has a name of its own, and who uses the proxy is not
    /// known to follow the record.
    fn proxies_by_hand(&self) -> String {
        let which = match self.kind {
            Kind::Instance => "--db-instance-identifiers",
            Kind::Cluster => "--db-cluster-identifiers",
        };
        let each = self.proxies.iter().map(|proxy| {
            format!(
                "`aws rds deregister-db-proxy-targets --db-proxy-name {proxy} {which} {}`, then `aws rds \
                 register-db-proxy-targets --db-proxy-name {proxy} {which} {}`",
                self.kept_as, self.by
            )
        });
        format!(
            "look what each has as its target after the swap (`aws rds describe-db-proxy-targets --db-proxy-name NAME`); where it is \
             not the restored one, {}. Between the two nobody is served by the proxy",
            each.collect::<Vec<_>>().join("; ")
        )
    }
}
