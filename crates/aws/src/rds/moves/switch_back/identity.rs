//! Which database is the old blue.
//!
//! Its name alone does not show it: `NAME-old1` may be left from an upgrade of a year ago, and today's blue is `NAME-old2`. What
//! counts, in this order: what arming saw, the record of the deployment, the plan's `old`, and the only database that
//! has a name such as AWS gives. Where these do not agree, a person decides.

use belay_ports::Scope;

use super::{
    Names,
    state::{Found, Id, State},
};

/// `first`: what was found before the first send of the run. The error is what a person is asked.
pub(super) fn old_blue(scope: &Scope, names: &Names, first: &State, armed: Option<&State>) -> Result<Id, String> {
    let production = first.called(&names.production);
    let was = armed.and_then(|armed| armed.called(&names.production));
    // With the production of arming under another name, a switchover has been since; or an earlier run has moved green away.
    let elsewhere = was.filter(|was| production.is_none_or(|now| now.id != was.id));
    let moved = |was: &Found| first.of(&was.id).is_some_and(|found| names.was_moved_away(&found.name));
    let seen = armed.and_then(|armed| shown(names, armed, true));
    let blue = match (elsewhere, seen) {
        (Some(was), Some(seen)) if production.is_some_and(|now| now.id != seen) && was.id != seen => Err(format!(
            "when the plan was armed, {} was {was}, and {seen} the old blue; now it is another database",
            names.production
        )),
        (_, Some(seen)) => Ok(seen),
        (Some(was), None) if !moved(was) => left_behind(names, was, first),
        (_, None) => match shown(names, first, false) {
            Some(blue) => Ok(blue),
            None => by_name(scope, names, first, was.filter(|_| elsewhere.is_none())),
        },
    }?;
    contradicted(names, first, &blue).map_or(Ok(blue), Err)
}

/// What one look shows: the deployment, or what the plan's `old` names. `armed`: the plan guards the switchover of the deployment that
/// arming saw; a look of another time may see the next one.
fn shown(names: &Names, state: &State, armed: bool) -> Option<Id> {
    let production = state.called(&names.production)?;
    let side = |name: &Option<String>| state.called(name.as_deref()?);
    let of = |name: &Option<String>| side(name).is_some_and(|found| found.id == production.id);
    if let Some(deployment) = state.deployments.iter().find(|one| of(&one.target)) {
        return side(&deployment.source).map(|blue| blue.id.clone());
    }
    if state.deployments.iter().any(|one| of(&one.source)) {
        let is_next = candidates(names, state).next().is_some();
        return (armed || !is_next).then(|| production.id.clone());
    }
    state.called(names.old.as_deref()?).map(|blue| blue.id.clone())
}

/// The production of arming, which has another name now.
fn left_behind(names: &Names, was: &Found, first: &State) -> Result<Id, String> {
    match first.of(&was.id) {
        Some(found) if !names.may_be_old(&found.name) => Err(format!(
            "{was}, which was production when the plan was armed, is called {} now, as no switchover names it",
            found.name
        )),
        // Listed under no name, it may be in the middle of a rename.
        _ => Ok(was.id.clone()),
    }
}

/// Neither arming nor a deployment shows it. `was`: what has been production since arming.
fn by_name(scope: &Scope, names: &Names, first: &State, was: Option<&Found>) -> Result<Id, String> {
    let name = &names.production;
    let found: Vec<&Found> = candidates(names, first).collect();
    match (found.as_slice(), was) {
        ([], Some(was)) => Ok(was.id.clone()),
        ([], None) => match first.called(name) {
            Some(found) if scope.run.is_none() => Ok(found.id.clone()),
            Some(_) => Err(format!(
                "there is neither a blue/green deployment of {name} nor a database {}: nothing shows what was blue; name the                  old blue in the plan's `old`, then begin a new run",
                names.old.clone().unwrap_or_else(|| format!("{name}-old1"))
            )),
            None => Err(format!("there is no database {name}, and no database that was its blue")),
        },
        ([blue], _) => match unswitched(names, first, was).filter(|_| scope.tries < 2) {
            None => Ok(blue.id.clone()),
            Some(why) => Err(format!(
                "{why}, and nothing shows that {blue} is the blue of the last switchover. If it is, `belay retry` goes back to                  it; if no switchover has been, `belay skip` leaves {name} as it is. A plan that names the old blue in                  `old` need not ask"
            )),
        },
        (several, _) => {
            let listed: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(format!(
                "nothing shows which of {} is the old blue of {name}: name it in the plan's `old`, then begin a new run",
                listed.join(", ")
            ))
        }
    }
}

/// What speaks for it that no switchover has been.
fn unswitched(names: &Names, first: &State, was: Option<&Found>) -> Option<String> {
    let name = &names.production;
    if let Some(was) = was {
        return Some(format!("{was} has been {name} since the plan was armed"));
    }
    let next = first.deployments.iter().find(|one| one.source.as_ref() == Some(name))?;
    Some(format!("{name} is the blue side of the deployment {}, which is {}", next.id, next.status))
}

fn candidates<'s>(names: &'s Names, state: &'s State) -> impl Iterator<Item = &'s Found> {
    state.databases.iter().filter(|found| names.may_be_old(&found.name))
}

/// The plan's `old` names another database than the one that is known to be the old blue.
fn contradicted(names: &Names, first: &State, blue: &Id) -> Option<String> {
    let named = first.called(names.old.as_deref()?).filter(|named| named.id != *blue)?;
    let found = first.of(blue).filter(|found| found.name != names.production)?;
    Some(format!("the plan's `old` names {named}, but the old blue of {} is {found}", names.production))
}
