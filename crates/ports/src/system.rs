//! Actuators are written with types; one adapter does the serialising.

use std::time::Duration;

use belay_core::change::{Assessment, Change, Doc, Key, Receipt};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Check, Fut, actuator::*};

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

    /// As [`Actuator::checks`].
    ///
    /// # Errors
    /// [`Corrupt`] when the parts do not fit together.
    fn checks(
        &self,
        _scope: &Scope,
        _with: &Self::With,
        _now: &Self::State,
        _baseline: Option<&Self::State>,
    ) -> Result<Vec<Check>, Corrupt> {
        Ok(Vec::new())
    }

    /// As [`Actuator::readiness`].
    fn readiness<'a>(
        &'a self,
        _scope: &'a Scope,
        _with: Self::With,
        _now: Self::State,
        _baseline: Option<Self::State>,
    ) -> Fut<'a, Vec<Check>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    /// As [`Actuator::altered`].
    fn altered(&self, _scope: &Scope, _with: &Self::With, _now: &Self::State, _baseline: &Self::State) -> Vec<String> {
        Vec::new()
    }

    /// As [`Actuator::restore_point`].
    ///
    /// # Errors
    /// [`Corrupt`] when the parts do not fit together.
    fn restore_point(
        &self,
        _scope: &Scope,
        _with: &Self::With,
        _now: &Self::State,
        _baseline: Option<&Self::State>,
    ) -> Result<Option<RestorePoint>, Corrupt> {
        Ok(None)
    }

    /// As [`Actuator::restore_test`].
    fn restore_test(&self, _scope: &Scope, _with: &Self::With, _began: Timestamp) -> Option<Value> {
        None
    }

    /// As [`Actuator::restored`].
    fn restored(&self, _scope: &Scope, _with: &Self::With, _now: &Self::State) -> Option<Restored> {
        None
    }

    fn apply<'a>(&'a self, scope: &'a Scope, key: &'a Key, change: &'a Change) -> Fut<'a, Result<Value, ApplyError>>;

    /// The least time between two looks at the same resource.
    fn pace(&self) -> Duration {
        Duration::ZERO
    }

    fn permissions(&self, scope: &Scope, with: &Self::With) -> Vec<Permission>;

    /// As [`Actuator::interrupt`].
    fn interrupt(&self, _scope: &Scope, _why: Interruption) {}
}

/// Makes an [`Actuator`] of a [`System`].
pub struct Typed<S>(pub S);

fn decode<T: DeserializeOwned>(what: &str, value: &Value) -> Result<T, Corrupt> {
    T::deserialize(value).map_err(|error| Corrupt(format!("{what} cannot be understood: {error}")))
}

/// What an assessment goes by, with types.
struct Decoded<S: System> {
    with: S::With,
    state: S::State,
    baseline: Option<S::State>,
}

impl<S: System> Decoded<S> {
    fn of(scope: &Scope, now: &Doc) -> Result<Self, Corrupt> {
        let baseline = scope.baseline.as_ref().map(|entry| decode("the baseline", &entry.doc)).transpose()?;
        Ok(Self {
            with: decode("the step's `with`", &scope.with)?,
            state: decode("the observed state", now)?,
            baseline,
        })
    }
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
        let Decoded { with, state, baseline } = Decoded::<S>::of(scope, now)?;
        self.0.assess(scope, &with, &state, baseline.as_ref(), receipts)
    }

    fn checks(&self, scope: &Scope, now: &Doc) -> Result<Vec<Check>, Corrupt> {
        let Decoded { with, state, baseline } = Decoded::<S>::of(scope, now)?;
        self.0.checks(scope, &with, &state, baseline.as_ref())
    }

    fn altered(&self, scope: &Scope, now: &Doc) -> Result<Vec<String>, Corrupt> {
        let Decoded { with, state, baseline } = Decoded::<S>::of(scope, now)?;
        Ok(baseline.map(|baseline| self.0.altered(scope, &with, &state, &baseline)).unwrap_or_default())
    }

    fn readiness<'a>(&'a self, scope: &'a Scope, now: &'a Doc) -> Fut<'a, Vec<Check>> {
        match Decoded::<S>::of(scope, now) {
            Ok(Decoded { with, state, baseline }) => self.0.readiness(scope, with, state, baseline),
            Err(Corrupt(why)) => {
                let check = Check::unknown("readiness", &scope.step, why)
                    .wanted("a step, an observation and a baseline that this version of Belay reads")
                    .cure("correct the step in the plan, or capture the baseline anew before the cutover: `belay arm`");
                Box::pin(std::future::ready(vec![check]))
            }
        }
    }

    fn restore_point(&self, scope: &Scope, now: &Doc) -> Result<Option<RestorePoint>, Corrupt> {
        let Decoded { with, state, baseline } = Decoded::<S>::of(scope, now)?;
        self.0.restore_point(scope, &with, &state, baseline.as_ref())
    }

    fn restore_test(&self, scope: &Scope, began: Timestamp) -> Result<Option<Value>, Corrupt> {
        let with = decode::<S::With>("the step's `with`", &scope.with)?;
        Ok(self.0.restore_test(scope, &with, began))
    }

    fn restored(&self, scope: &Scope, now: &Doc) -> Result<Option<Restored>, Corrupt> {
        let Decoded { with, state, .. } = Decoded::<S>::of(scope, now)?;
        Ok(self.0.restored(scope, &with, &state))
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

    fn interrupt(&self, scope: &Scope, why: Interruption) {
        self.0.interrupt(scope, why);
    }
}
