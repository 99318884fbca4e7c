//! Who asks: the one account of the world.

use serde_json::json;

use crate::{
    answer::{Answered, Refusal},
    world::Place,
};

pub(crate) fn answer(place: &Place, operation: &str) -> Answered {
    match operation {
        "GetCallerIdentity" => Ok(json!({
            "Arn": format!("arn:aws:sts::{}:assumed-role/belay/strict", place.account),
            "UserId": "AROAEXAMPLE:strict",
            "Account": place.account,
        })),
        _ => Err(Refusal::bad("InvalidAction", format!("the stand-in has no sts:{operation}"))),
    }
}
