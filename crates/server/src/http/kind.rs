//! The kinds of problems: the stable names under which programs know what went wrong. `PROBLEMS.md` explains each.

use axum::http::StatusCode;
use strum::{EnumString, IntoStaticStr, VariantArray};

#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Kind {
    BadJson,
    BadIdempotencyKey,
    BadHost,
    Unauthorized,
    Forbidden,
    WrongAccount,
    NotFound,
    MethodNotAllowed,
    WrongState,
    AlreadyRunning,
    NoBaseline,
    OtherBaseline,
    RedAtArm,
    ImpossibleStep,
    CutoverUnmarked,
    UnreadableSignals,
    UnusableChannels,
    MissingPermissions,
    NeedsRoles,
    ResourceTaken,
    NotPermitted,
    OtherPlan,
    UnsupportedPlan,
    StrangeCursor,
    SlowBody,
    UnreadableBody,
    HeadTooLarge,
    InvalidRequest,
    PlanFile,
    IdempotencyKeyReused,
    BadCursor,
    Bug,
    Unavailable,
    AccountUnverified,
    Unreadable,
    TimedOut,
    TooManyReaders,
    Busy,
}

impl Kind {
    /// The last part of its `type`. It never changes its meaning.
    pub(crate) fn word(self) -> &'static str {
        self.into()
    }

    /// Where its page is, which is its `type`.
    pub(crate) fn path(self) -> String {
        format!("/problems/{}", self.word())
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::BadJson | Self::BadIdempotencyKey | Self::BadHost => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::WrongAccount => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::WrongState
            | Self::AlreadyRunning
            | Self::NoBaseline
            | Self::OtherBaseline
            | Self::RedAtArm
            | Self::ImpossibleStep
            | Self::CutoverUnmarked
            | Self::UnreadableSignals
            | Self::UnusableChannels
            | Self::MissingPermissions
            | Self::NeedsRoles
            | Self::ResourceTaken
            | Self::NotPermitted
            | Self::OtherPlan
            | Self::UnsupportedPlan
            | Self::StrangeCursor => StatusCode::CONFLICT,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::UnreadableBody => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::InvalidRequest | Self::PlanFile | Self::IdempotencyKeyReused | Self::BadCursor => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::Bug => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable
            | Self::AccountUnverified
            | Self::Unreadable
            | Self::TimedOut
            | Self::TooManyReaders
            | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::BadJson => "The body is not JSON",
            Self::BadIdempotencyKey => "The idempotency key is not one",
            Self::BadHost => "The request does not name one host",
            Self::Unauthorized => "Authentication required",
            Self::Forbidden => "Not allowed",
            Self::WrongAccount => "The wrong AWS account",
            Self::NotFound => "There is no such thing",
            Self::MethodNotAllowed => "The wrong method",
            Self::WrongState => "Not possible in this state",
            Self::AlreadyRunning => "A rollback is under way",
            Self::NoBaseline => "There is no baseline",
            Self::OtherBaseline => "The baseline is of another migration",
            Self::RedAtArm => "A trigger is red already",
            Self::ImpossibleStep => "A step could never succeed",
            Self::CutoverUnmarked => "The cutover is not marked",
            Self::UnreadableSignals => "Signals of the plan cannot be read",
            Self::UnusableChannels => "People could not be told",
            Self::MissingPermissions => "The role lacks permissions",
            Self::NeedsRoles => "The plan needs people with roles",
            Self::ResourceTaken => "Two migrations, one resource",
            Self::NotPermitted => "The plan does what is not permitted",
            Self::OtherPlan => "Another plan than the reviewed one",
            Self::UnsupportedPlan => "This version cannot honour the plan",
            Self::SlowBody => "The body came too slowly",
            Self::UnreadableBody => "The body could not be read",
            Self::HeadTooLarge => "The head of the request is too large",
            Self::InvalidRequest => "The request is not valid",
            Self::PlanFile => "The plan file cannot be used",
            Self::IdempotencyKeyReused => "The idempotency key was used for another request",
            Self::StrangeCursor => "Nobody can read on from there",
            Self::BadCursor => "The cursor is not one",
            Self::Bug => "A fault in Belay",
            Self::Unavailable => "Not possible now",
            Self::AccountUnverified => "The AWS account could not be verified",
            Self::Unreadable => "A resource could not be read",
            Self::TimedOut => "It took too long",
            Self::TooManyReaders => "Too many follow already",
            Self::Busy => "Too much at once",
        }
    }
}
