//! The commands for what a switch back leaves to a person: members and replicas, which have names of their own.

use belay_ports::Scope;

use super::{super::derived, Kind};

/// What of green has names of production, and what gives each to its blue counterpart: for people. RDS does one after the
/// other, and refuses the second as long as the first has the name.
pub(super) fn renames(scope: &Scope, kind: Kind, green: &[String], blue: &[String]) -> Vec<String> {
    let blue: Vec<&str> = blue.iter().filter_map(|listed| name_of(scope, listed)).collect();
    let each = green.iter().filter_map(|listed| name_of(scope, listed)).map(|name| {
        let away = command(kind, name, &derived(&name.to_ascii_lowercase(), "failed", scope));
        match blue.iter().find(|old| is_old(old, name)) {
            Some(old) => format!("{away}, and when that name is free {}", command(kind, old, name)),
            None => format!("{away}, and nothing of blue takes its name"),
        }
    });
    each.collect()
}

/// A replica of an Aurora cluster is listed by its ARN; None: it is in another Region, where the names are others.
fn name_of<'n>(scope: &Scope, listed: &'n str) -> Option<&'n str> {
    if !listed.contains(':') {
        return Some(listed);
    }
    let region = listed.split(':').nth(3);
    listed.rsplit(':').next().filter(|_| region == scope.aws.region.as_deref())
}

/// A switchover appends `-old1`, or the next number that is free.
fn is_old(old: &str, name: &str) -> bool {
    let number = old.strip_prefix(name).and_then(|rest| rest.strip_prefix("-old"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

fn command(kind: Kind, from: &str, to: &str) -> String {
    let word = if kind == Kind::Instance { "instance" } else { "cluster" };
    format!(
        "`aws rds modify-db-{word} --db-{word}-identifier {from} --new-db-{word}-identifier {to} --apply-immediately`"
    )
}
