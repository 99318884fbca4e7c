//! What people have ticked on the checklist.

use std::{collections::BTreeMap, sync::Arc};

use belay_plan::{checklist::Part, model::Name};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    decide::Deciding,
    event::Event,
    input::{Asked, Refusal, RefusalKind},
    migration::Migration,
};

/// Far more items than a list has; state is copied for each decision, and stays small.
const TICKS_MAX: usize = 500;

/// Somebody's word that an item is seen to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    pub part: Part,
    pub at: Timestamp,
    pub by: String,
    pub reason: String,
}

pub type Ticks = BTreeMap<Name, Tick>;

impl Deciding {
    /// It moves nothing, so it is possible in every state. That the item is on the list, the caller has seen: before the first
    /// arming only the plan file knows it.
    pub(crate) fn tick(&mut self, item: &Name, part: Part, asked: &Asked) -> Result<(), Refusal> {
        if !self.state.ticks.contains_key(item) && self.state.ticks.len() >= TICKS_MAX {
            return Err(Refusal {
                kind: RefusalKind::WrongState,
                why: format!("{TICKS_MAX} items are ticked already"),
                help: "take a tick back: `belay checklist --untick ID --reason \"...\"`".to_owned(),
            });
        }
        self.commanded("tick", asked, json!({ "item": item }));
        self.emit(Event::ItemTicked { item: item.clone(), part, reason: asked.reason.clone() });
        Ok(())
    }

    pub(crate) fn untick(&mut self, item: &Name, asked: &Asked) -> Result<(), Refusal> {
        if !self.state.ticks.contains_key(item) {
            return Err(Refusal {
                kind: RefusalKind::WrongState,
                why: format!("nobody has ticked {item}"),
                help: "`belay checklist` shows what is ticked, and by whom".to_owned(),
            });
        }
        self.commanded("untick", asked, json!({ "item": item }));
        self.emit(Event::ItemUnticked { item: item.clone(), reason: asked.reason.clone() });
        Ok(())
    }
}

impl Migration {
    pub(crate) fn apply_tick(&mut self, at: Timestamp, actor: &str, event: &Event) {
        match event {
            Event::ItemTicked { item, part, reason } => {
                let (by, reason) = (actor.to_owned(), reason.clone());
                Arc::make_mut(&mut self.ticks).insert(item.clone(), Tick { part: *part, at, by, reason });
            }
            Event::ItemUnticked { item, .. } => drop(Arc::make_mut(&mut self.ticks).remove(item)),
            _ => {}
        }
    }

    /// Another attempt begins: what was ticked for the last one does not count for it. What somebody has prepared since then does.
    pub(crate) fn begin_list(&mut self) {
        if self.armed.is_some() {
            return;
        }
        let ended = self.disarmed_last;
        Arc::make_mut(&mut self.ticks)
            .retain(|_, tick| tick.part == Part::Before && ended.is_none_or(|ended| tick.at >= ended));
    }

    /// Another rollback begins: what was seen to after the last one does not count for it.
    pub(crate) fn forget_aftermath(&mut self) {
        Arc::make_mut(&mut self.ticks).retain(|_, tick| tick.part != Part::AfterRollback);
    }
}
