//! Permissions as statements, and statements as policies that IAM takes.

use std::collections::{BTreeMap, BTreeSet};

use belay_plan::model::AwsTarget;
use belay_ports::{Condition, Permission};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::{
    names::{Suffix, named},
    principal::{Principal, principals},
};

/// Characters of a managed policy, white space not counted. ("IAM and AWS STS quotas", IAM User Guide, 2026)
pub const SIZE_MAX: usize = 6_144;

/// A part of what a plan needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// The reads: watching, a dry run, a capture.
    Watch,
    /// The writes.
    Act,
}

impl Only {
    pub(super) fn keeps(self, permission: &Permission) -> bool {
        permission.mutates == (self == Self::Act)
    }
}

/// One managed policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// `belay-checkout-cutover`.
    pub name: String,
    pub principal: Principal,
    pub statements: Vec<Statement>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Allow,
    Deny,
}

impl Effect {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        }
    }
}

/// The actions, each on each of the resources, under all of the conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub sid: String,
    pub effect: Effect,
    pub actions: Vec<String>,
    pub resources: Vec<String>,
    pub conditions: Vec<Condition>,
}

impl Statement {
    fn document(&self) -> Value {
        let Self { sid, effect, actions, resources, conditions } = self;
        let mut document = Map::from_iter([
            ("Sid".to_owned(), json!(sid)),
            ("Effect".to_owned(), json!(effect.word())),
            ("Action".to_owned(), json!(actions)),
            ("Resource".to_owned(), json!(resources)),
        ]);
        if !conditions.is_empty() {
            let mut all = json!({});
            for Condition { operator, key, value } in conditions {
                all[operator][key] = json!([value]);
            }
            document.insert("Condition".to_owned(), all);
        }
        Value::Object(document)
    }
}

impl Policy {
    /// As IAM takes it.
    pub fn document(&self) -> Value {
        document(&self.statements)
    }

    /// For people who see it in a list of policies.
    pub(super) fn description(&self) -> String {
        format!("What a Belay plan needs: {}", self.name)
    }
}

fn document(statements: &[Statement]) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements.iter().map(Statement::document).collect::<Vec<_>>() })
}

/// As IAM counts it; white space in texts counts here and not there.
pub(super) fn size(statements: &[Statement]) -> usize {
    document(statements).to_string().chars().count()
}

/// The policies that a plan needs, as few as hold them. Reads and writes are apart, and each set of resources and conditions
/// is one statement.
pub fn policies(
    migration: &str,
    needed: &IndexMap<AwsTarget, BTreeSet<Permission>>,
    only: Option<Only>,
) -> Vec<Policy> {
    let principals = principals(needed);
    let part = match only {
        None => "",
        Some(Only::Watch) => "watch",
        Some(Only::Act) => "act",
    };
    let mut found = Vec::new();
    for (principal, permissions) in &principals {
        let kept = permissions.iter().filter(|permission| only.is_none_or(|only| only.keeps(permission)));
        let parts = packed(statements(kept));
        let count = parts.len();
        found.extend(parts.into_iter().enumerate().map(|(index, statements)| {
            let suffix = Suffix { part, number: (count > 1).then_some(index + 1) };
            Policy { name: named(migration, principal, &principals, suffix), principal: principal.clone(), statements }
        }));
    }
    found
}

/// One statement for each set of resources and conditions, in a stable order; the reads come first.
pub(super) fn statements<'p>(permissions: impl Iterator<Item = &'p Permission>) -> Vec<Statement> {
    /// Whether it changes anything, what, and under which conditions.
    type Key<'p, What> = (bool, What, &'p [Condition]);
    let mut by_action: BTreeMap<Key<'_, &str>, BTreeSet<&str>> = BTreeMap::new();
    for Permission { mutates, action, resource, conditions } in permissions {
        by_action.entry((*mutates, action, conditions)).or_default().insert(resource);
    }
    let mut grouped: BTreeMap<Key<'_, BTreeSet<&str>>, Vec<&str>> = BTreeMap::new();
    for ((mutates, action, conditions), resources) in by_action {
        grouped.entry((mutates, resources, conditions)).or_default().push(action);
    }
    let whole = grouped.into_iter().map(|((mutates, resources, conditions), actions)| {
        let owned = |texts: Vec<&str>| texts.into_iter().map(ToOwned::to_owned).collect::<Vec<_>>();
        let statement = Statement {
            sid: String::new(),
            effect: Effect::Allow,
            actions: owned(actions),
            resources: owned(resources.into_iter().collect()),
            conditions: conditions.to_vec(),
        };
        (mutates, statement)
    });
    let fitting = whole
        .flat_map(|(mutates, statement)| fitting(statement).into_iter().map(move |statement| (mutates, statement)));
    let mut numbers = [0_usize; 2];
    fitting
        .map(|(mutates, statement)| {
            let number = &mut numbers[usize::from(mutates)];
            *number += 1;
            Statement { sid: format!("{}{number}", if mutates { "Change" } else { "Read" }), ..statement }
        })
        .collect()
}

/// A statement in parts, each of which has room in a policy of its own.
fn fitting(statement: Statement) -> Vec<Statement> {
    // The longest name that a statement gets.
    let named = Statement { sid: "Change9999".to_owned(), ..statement.clone() };
    if size(std::slice::from_ref(&named)) <= SIZE_MAX {
        return vec![statement];
    }
    let halves = |texts: &[String]| {
        let (left, right) = texts.split_at(texts.len() / 2);
        [left.to_vec(), right.to_vec()]
    };
    let parts = match (statement.resources.len(), statement.actions.len()) {
        (2.., _) => halves(&statement.resources).map(|resources| Statement { resources, ..statement.clone() }),
        (_, 2..) => halves(&statement.actions).map(|actions| Statement { actions, ..statement.clone() }),
        // Nothing that AWS names is so long.
        _ => return vec![statement],
    };
    parts.into_iter().flat_map(fitting).collect()
}

/// In the same order, in as few policies as that allows.
fn packed(statements: Vec<Statement>) -> Vec<Vec<Statement>> {
    let mut policies: Vec<Vec<Statement>> = Vec::new();
    for statement in statements {
        match policies.last_mut() {
            Some(last) => {
                last.push(statement);
                if size(last) > SIZE_MAX
                    && let Some(statement) = last.pop()
                {
                    policies.push(vec![statement]);
                }
            }
            None => policies.push(vec![statement]),
        }
    }
    policies
}
