//! Where the parts of a plan stand, for what is found out about a plan only after it was read: a secret that is missing, a role that
//! no token has.

use std::{fmt, sync::Arc};

use crate::{
    decode::Places,
    diagnostic::Texts,
    syntax::{Problem, Span},
};

/// The places of a plan's parts. Without a file (a plan from the journal) a part is named by its path alone.
#[derive(Clone, Default)]
pub struct PlanPlaces {
    known: Option<Arc<(Texts, Places)>>,
}

impl fmt::Debug for PlanPlaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.known.is_some() { "the places of a plan" } else { "no places" })
    }
}

impl PlanPlaces {
    pub(crate) fn new(texts: Texts, places: Places) -> Self {
        Self { known: Some(Arc::new((texts, places))) }
    }

    /// Where the value of a JSON pointer stands: `plan.yaml:12:27 (steps.db_back.approve.role)`. What the file leaves out has the
    /// place of what is nearest above it.
    pub fn value(&self, pointer: &str) -> String {
        self.named(pointer, Places::value)
    }

    /// The same for the key of an entry.
    pub fn entry(&self, pointer: &str) -> String {
        self.named(pointer, Places::key)
    }

    fn named(&self, pointer: &str, span: impl Fn(&Places, &str) -> Span) -> String {
        let path = pointer.trim_start_matches('/').replace('/', ".").replace("~1", "/").replace("~0", "~");
        let place = self.known.as_deref().and_then(|(texts, places)| {
            let problem = Problem::new(span(places, pointer), "");
            Some(texts.diagnose(vec![problem], Vec::new()).pop()?.place)
        });
        match place {
            Some(place) => format!("{}:{}:{} ({path})", place.file, place.line, place.column),
            None => path,
        }
    }
}
