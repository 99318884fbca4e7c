//! Actuators are written with types; one adapter does the serialising.

use std::time::Duration;

use belay_core::change::{Assessment, Change, Doc, Key, Receipt};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Fut, actuator::*};

/// A typed actuator. [`Typed`] makes an [`Actuator`] of it.
pub trait System: Send + Sync {
    /// The step's `with:`.
    type With: DeserializeOwned + Send + Sync;
    /// What is observed, and what a baseline holds.
    type State: Serialize + DeserializeOwned + Send + Sync;

    fn observe<'a>(
        &'a self,
        scope: &'a Scope,
        with: Self::With,
        receipts: &'a [Receipt],
    ) -> Fut<'a, Result<Self::State, ReadError>>;

    /// `baseline`: the scope's, decoded.
    ///
    /// # Errors
    /// [`Corrupt`] when the parts do not fit together.
    fn assess(
        &self,
        scope: &Scope,
        with: &Self::With,
        now: &Self::State,
        baseline: Option<&Self::State>,
        receipts: &[Receipt],
    ) -> Result<Assessment, Corrupt>;

    fn apply<'a>(&'a self, scope: &'a Scope, key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>>;

    /// The least time between two looks at the same resource.
    fn pace(&self) -> Duration {
        Duration::ZERO
    }

    fn permissions(&self, scope: &Scope, with: &Self::With) -> Vec<Permission>;

    /// As [`Actuator::interrupt`].
    fn interrupt(&self, _scope: &Scope) {}
}

/// Makes an [`Actuator`] of a [`System`].
pub struct Typed<S>(pub S);

fn decode<T: DeserializeOwned>(what: &str, value: &Value) -> Result<T, Corrupt> {
    T::deserialize(value).map_err(|error| Corrupt(format!("{what} cannot be understood: {error}")))
}

impl<S: System> Actuator for Typed<S> {
    fn observe<'a>(&'a self, scope: &'a Scope, receipts: &'a [Receipt]) -> Fut<'a, Result<Doc, ReadError>> {
        Box::pin(async move {
            let permanent = |corrupt: Corrupt| ReadError { why: corrupt.0, permanent: true };
            let with = decode::<S::With>("the step's `with`", &scope.with).map_err(permanent)?;
            let state = self.0.observe(scope, with, receipts).await?;
            serde_json::to_value(state)
                .map_err(|error| permanent(Corrupt(format!("what was observed cannot be written down: {error}"))))
        })
    }

    fn assess(&self, scope: &Scope, now: &Doc, receipts: &[Receipt]) -> Result<Assessment, Corrupt> {
        let with = decode::<S::With>("the step's `with`", &scope.with)?;
        let state = decode::<S::State>("the observed state", now)?;
        let baseline = match &scope.baseline {
            Some(entry) => Some(decode::<S::State>("the baseline", &entry.doc)?),
            None => None,
        };
        self.0.assess(scope, &with, &state, baseline.as_ref(), receipts)
    }

    fn apply<'a>(&'a self, scope: &'a Scope, key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>> {
        self.0.apply(scope, key, change)
    }

    fn pace(&self) -> Duration {
        self.0.pace()
    }

    fn permissions(&self, scope: &Scope) -> Vec<Permission> {
        decode::<S::With>("the step's `with`", &scope.with)
            .map(|with| self.0.permissions(scope, &with))
            .unwrap_or_default()
    }

    fn interrupt(&self, scope: &Scope) {
        self.0.interrupt(scope);
    }
}
