//! A daemon's no, as a failure of the command.

use reqwest::StatusCode;
use serde::Deserialize;

use crate::exit::{Exit, Failure, Refused};

/// An RFC 9457 problem, as the daemon answers it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    /// A path or a name; its last part is the kind.
    #[serde(rename = "type")]
    kind: String,
    title: String,
    detail: String,
    help: String,
    /// What was to be moved is in this state,
    state: String,
    /// and these verbs are possible there.
    possible: Vec<String>,
}

pub(super) fn failure(url: &str, status: StatusCode, body: &[u8], with_token: bool) -> Failure {
    let problem: Option<Problem> = serde_json::from_slice(body).ok();
    let exit = exit(status, problem.as_ref());
    let Some(problem) = problem else {
        // Whatever stands before the daemon speaks for itself.
        return Failure::message(exit, format!("{url} answered {status}")).help(match exit {
            Exit::Unreachable => "something before the daemon answers in its place: is the daemon up?",
            _ => "check that --url or BELAY_URL is that of a Belay daemon",
        });
    };
    let what = [problem.detail, problem.title].into_iter().find(|text| !text.is_empty());
    let what = what.unwrap_or_else(|| format!("{url} answered {status}"));
    let help = match status {
        StatusCode::UNAUTHORIZED if with_token => {
            "BELAY_TOKEN holds a token that this daemon does not know: ask who runs it for yours".to_owned()
        }
        StatusCode::UNAUTHORIZED => "this daemon wants to know who asks: put your token into BELAY_TOKEN".to_owned(),
        _ => without_http(problem.help),
    };
    let what = match what.split_once(" POST /v1/") {
        // Who may not, may not do what was asked for: by whichever path that went.
        Some((who, _)) => format!("{who} do this"),
        None => what,
    };
    let kind = kind_of(&problem.kind).to_owned();
    let Problem { state, possible, .. } = problem;
    Failure { refused: Some(Box::new(Refused { kind, state, possible })), ..Failure::message(exit, what).help(help) }
}

/// The daemon speaks to programs, too; at the command line there are commands.
fn without_http(help: String) -> String {
    match help.contains("/v1/") {
        true => "`belay status` shows what there is".to_owned(),
        false => help,
    }
}

fn kind_of(name: &str) -> &str {
    name.rsplit(['/', ':']).next().unwrap_or_default()
}

fn exit(status: StatusCode, problem: Option<&Problem>) -> Exit {
    let kind = problem.map(|problem| kind_of(&problem.kind));
    match status {
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => Exit::Usage,
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Exit::Unreachable,
        StatusCode::SERVICE_UNAVAILABLE if problem.is_none() => Exit::Unreachable,
        StatusCode::SERVICE_UNAVAILABLE if kind == Some("account_unverified") => Exit::Refused,
        status if status.is_client_error() => Exit::Refused,
        _ => Exit::Unexpected,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answered(status: u16, body: serde_json::Value) -> Failure {
        let status = StatusCode::from_u16(status).unwrap();
        failure("http://belay", status, body.to_string().as_bytes(), false)
    }

    #[test]
    fn every_kind_of_no_has_its_exit_code() {
        let problem = |kind: &str| json!({ "type": format!("/problems/{kind}"), "detail": "no" });
        for (status, kind, exit) in [
            (401, "unauthorized", Exit::Refused),
            (403, "forbidden", Exit::Refused),
            (404, "not_found", Exit::Usage),
            (409, "wrong_state", Exit::Refused),
            (422, "invalid_request", Exit::Usage),
            (429, "too_many", Exit::Refused),
            (500, "internal", Exit::Unexpected),
            (503, "unavailable", Exit::Unexpected),
            (503, "account_unverified", Exit::Refused),
        ] {
            assert_eq!(answered(status, problem(kind)).exit, exit, "{status} {kind}");
        }
        let urn = json!({ "type": "urn:belay:problem:account_unverified", "detail": "no" });
        assert_eq!(answered(503, urn).exit, Exit::Refused);
    }

    #[test]
    fn a_proxy_in_its_place_is_a_daemon_that_cannot_be_reached() {
        for status in [502, 503, 504] {
            let failure = failure("http://belay", StatusCode::from_u16(status).unwrap(), b"<html>", false);
            assert_eq!(failure.exit, Exit::Unreachable);
            assert!(failure.error.to_string().contains(&status.to_string()));
        }
    }

    #[test]
    fn no_path_is_shown_at_the_command_line() {
        let failure = answered(403, json!({ "detail": "ci may read, but not POST /v1/migrations/shop/arm" }));
        assert_eq!(failure.error.to_string(), "ci may read, but not do this");
        let failure = answered(404, json!({ "detail": "there is no run r1", "help": "GET /v1/runs lists them" }));
        assert_eq!(failure.help.unwrap(), "`belay status` shows what there is");
    }

    #[test]
    fn what_is_possible_is_kept() {
        let body = json!({ "detail": "only a failed step can be retried", "state": "awaiting_approval", "possible": ["approve"] });
        let refused = answered(409, body).refused.unwrap();
        assert_eq!((refused.state.as_str(), refused.possible), ("awaiting_approval", vec!["approve".to_owned()]));
    }
}
