//! The built-in templates.

use belay_plan::notify::NoticeKind;

/// For whom a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Those who run the migration: names of steps and triggers, reasons, commands.
    Internal,
    /// Those who answer for it: what it means, and how long it takes.
    Executive,
    /// Customers: no names, no internals, no promises.
    Customer,
}

impl Style {
    pub(crate) fn of(channel: &str) -> Self {
        match channel {
            "email" => Self::Executive,
            "statuspage" => Self::Customer,
            _ => Self::Internal,
        }
    }
}

macro_rules! text {
    ($style:literal, $name:literal) => {
        ($name, include_str!(concat!("../../texts/", $style, "/", $name, ".txt")))
    };
}

const INTERNAL: [(&str, &str); 14] = [
    text!("internal", "armed"),
    text!("internal", "readiness"),
    text!("internal", "incident"),
    text!("internal", "decision"),
    text!("internal", "approval"),
    text!("internal", "phase"),
    text!("internal", "point_of_no_return"),
    text!("internal", "muted"),
    text!("internal", "blind"),
    text!("internal", "step_failed"),
    text!("internal", "halted"),
    text!("internal", "finished"),
    text!("internal", "recovered"),
    text!("internal", "postmortem_due"),
];

/// Kinds that are missing here use the internal text.
const EXECUTIVE: [(&str, &str); 7] = [
    text!("executive", "incident"),
    text!("executive", "decision"),
    text!("executive", "point_of_no_return"),
    text!("executive", "blind"),
    text!("executive", "halted"),
    text!("executive", "finished"),
    text!("executive", "recovered"),
];

const CUSTOMER: [(&str, &str); 5] = [
    text!("customer", "incident"),
    text!("customer", "decision"),
    text!("customer", "halted"),
    text!("customer", "finished"),
    text!("customer", "recovered"),
];

/// Parts that templates include.
pub(super) const PARTS: [(&str, &str); 6] = [
    ("customer/_title.txt", include_str!("../../texts/customer/_title.txt")),
    ("internal/_now.txt", include_str!("../../texts/internal/_now.txt")),
    ("internal/_unknown.txt", include_str!("../../texts/internal/_unknown.txt")),
    ("internal/_facts.txt", include_str!("../../texts/internal/_facts.txt")),
    ("executive/_now.txt", include_str!("../../texts/executive/_now.txt")),
    ("executive/_close.txt", include_str!("../../texts/executive/_close.txt")),
];

/// None: there is no text for customers.
pub(super) fn source(style: Style, kind: NoticeKind) -> Option<&'static str> {
    let of = |texts: &[(&str, &'static str)]| {
        texts.iter().find(|(name, _)| *name == kind.as_str()).map(|(_, source)| *source)
    };
    match style {
        Style::Internal => of(&INTERNAL),
        Style::Executive => of(&EXECUTIVE).or_else(|| of(&INTERNAL)),
        Style::Customer => of(&CUSTOMER),
    }
}
