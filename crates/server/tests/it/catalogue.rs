//! A small plan language for tests: one action, one kind of signal, one channel.

use std::time::Duration;

use belay_local::Programs;
use belay_plan::{
    catalogue::{ActionSpec, Catalogue, ChannelSpec, SignalSpec, no_action_findings, no_signal_findings},
    model::Nature,
    notify::NoticeKind,
    shape::{NAME, field, object, text, weights},
};

pub(crate) fn catalogue() -> Catalogue {
    let action = ActionSpec {
        name: "sim.weights",
        summary: "Moves traffic.",
        with: object([field("resource", text("the name of a resource"), "What it acts on.")]),
        to: Some(weights(NAME, 1_000, None)),
        others: false,
        stages: false,
        default_timeout: Duration::from_secs(60),
        nature: Nature::Traffic,
        usual: None,
        resource: |with| with["resource"].as_str().unwrap_or_default().to_owned(),
        check: no_action_findings,
    };
    let signal = SignalSpec {
        key: "probe",
        summary: "Follows the world.",
        value: text("the name of a probe"),
        siblings: Vec::new(),
        check: no_signal_findings,
        remarks: no_signal_findings,
    };
    let channel = ChannelSpec {
        key: "chat",
        summary: "A chat.",
        value: text("the name of a room"),
        siblings: Vec::new(),
        events: NoticeKind::ALL.to_vec(),
        check: |_| Vec::new(),
    };
    Catalogue::new(Programs::specs().into_iter().chain([action]), [signal]).with_channels([channel], |_, _, _| Ok(()))
}
