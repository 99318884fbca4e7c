//! The commands for what a switch back leaves to a person: members and replicas, which have names of their own.

use belay_ports::Scope;

use super::super::derived;

/// Green's instances that have names of production, and what gives each to its blue counterpart: for people. RDS does one after the
/// other, and refuses the second as long as the first has the name.
pub(super) fn renames(scope: &Scope, green: &[String], blue: &[String]) -> String {
    // The replica of a cluster, listed by its ARN, is in another Region.
    let names = green.iter().filter(|name| !name.contains(':'));
    let each = names.map(|name| {
        let away = command(name, &derived(&name.to_ascii_lowercase(), "failed", scope));
        match blue.iter().find(|old| is_old(old, name)) {
            Some(old) => format!("{away}, and when that name is free {}", command(old, name)),
            None => format!("{away}, and nothing of blue takes its name"),
        }
    });
    each.collect::<Vec<_>>().join("; ")
}

/// A switchover appends `-old1`, or the next number that is free.
fn is_old(old: &str, name: &str) -> bool {
    let number = old.strip_prefix(name).and_then(|rest| rest.strip_prefix("-old"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

fn command(from: &str, to: &str) -> String {
    format!(
        "`aws rds modify-db-instance --db-instance-identifier {from} --new-db-instance-identifier {to} --apply-immediately`"
    )
}
