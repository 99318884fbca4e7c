//! Mute: triggers are watched and recorded, and none opens or joins an incident, until a time that is known beforehand.

use std::time::Duration;

use belay_plan::duration;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    decide::Deciding,
    event::Event,
    input::{Asked, Refusal, RefusalKind},
    migration::Migration,
    verbs::wrong_state,
};

/// Longer than this nobody mutes at once.
pub const MUTE_MAX: Duration = Duration::from_secs(4 * 3600);

/// How long to mute, as people write it.
///
/// # Errors
/// Why that is not possible: it is no duration, `0s`, or longer than [`MUTE_MAX`].
///
/// ```
/// assert!(belay_core::mute::time("30m").is_ok());
/// assert!(belay_core::mute::time("5h").unwrap_err().contains("4h"));
/// ```
pub fn time(text: &str) -> Result<Duration, String> {
    let time = duration::parse(text).map_err(|error| error.to_string())?;
    if time.is_zero() || time > MUTE_MAX {
        return Err(format!(
            "a mute lasts for up to {}, not for {text}; mute again when it is over",
            duration::format(MUTE_MAX)
        ));
    }
    Ok(time)
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mute {
    pub since: Timestamp,
    pub until: Timestamp,
    pub by: String,
    pub reason: String,
}

impl Migration {
    /// The wall clock was set: the mute lasts as long as it was meant to.
    pub(crate) fn shift_mute(&mut self, by: SignedDuration) {
        if let Some(mute) = &mut self.muted {
            mute.until = mute.until.saturating_add(by).unwrap_or(mute.until);
        }
    }
}

impl Deciding {
    pub(crate) fn mute(&mut self, time: Duration, asked: &Asked) -> Result<(), Refusal> {
        self.refuse_while_running("mute")?;
        if self.state.armed.is_none() {
            return Err(wrong_state("it is not armed, so nothing is to be muted", "`belay arm` arms it"));
        }
        if time.is_zero() || time > MUTE_MAX {
            return Err(Refusal {
                kind: RefusalKind::WrongState,
                why: format!("a mute of {} is not possible", duration::format(time)),
                help: format!("mute for up to {}, and again when it is over", duration::format(MUTE_MAX)),
            });
        }
        let until = self.now + time;
        self.commanded("mute", asked, json!({ "until": until }));
        self.emit(Event::Muted { until, by: asked.actor.clone(), reason: asked.reason.clone() });
        Ok(())
    }

    pub(crate) fn unmute(&mut self, asked: &Asked) -> Result<(), Refusal> {
        self.refuse_while_running("unmute")?;
        if self.state.muted.is_none() {
            return Err(wrong_state("it is not muted", "`belay status` shows what is watched"));
        }
        self.commanded("unmute", asked, json!({}));
        self.emit(Event::Unmuted { why: asked.reason.clone() });
        Ok(())
    }

    pub(crate) fn follow_mute(&mut self) {
        if self.state.muted.as_ref().is_some_and(|mute| self.now >= mute.until) {
            self.emit(Event::Unmuted { why: "its time is over".to_owned() });
        }
    }
}
