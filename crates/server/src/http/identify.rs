//! Who asks: the bearer of a token, or, without tokens, whoever is on this machine.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, Uri, header},
    middleware::Next,
    response::Response,
};

use crate::{
    auth::{Caller, Tokens},
    daemon::Daemon,
};

use super::{kind::Kind, problem::Problem};

/// The answer to a wrong token waits so long.
const WRONG_TOKEN_PAUSE: Duration = Duration::from_millis(500);

/// Lets a request through with its [`Caller`], if there is one and it may do this.
pub(super) async fn identify(
    State(daemon): State<Daemon>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let caller = match caller(&daemon.config().tokens, request.headers()) {
        Ok(caller) => caller,
        Err(problem) => {
            if request.headers().contains_key(header::AUTHORIZATION) {
                refuse_slowly(&daemon).await;
            }
            return Err(problem);
        }
    };
    let (method, path) = (request.method(), request.uri().path());
    // Which role an answer takes is the plan's to say, so core decides; a mere viewer has none that a plan could mean.
    let answers = path.ends_with("/approve") || path.ends_with("/decide");
    let allowed = match *method {
        Method::GET | Method::HEAD => true,
        _ if answers => caller.may_answer(),
        _ => caller.may_act(),
    };
    if !allowed {
        let detail = format!("{} may read, but not {method} {path}", caller.name);
        return Err(Problem::forbidden(detail).help("acting takes a token with the role `operator`"));
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// Whoever tries tokens gets few tries, and is seen in the log: there once a minute, with how many there were.
async fn refuse_slowly(daemon: &Daemon) {
    let clock = &daemon.ports().clock;
    let tries = daemon.vitals().noticed().wrong_tokens.count(clock.monotonic());
    if let Some(tries) = tries {
        tracing::warn!(tries, "a token was refused that the configuration does not know");
    }
    clock.sleep(WRONG_TOKEN_PAUSE).await;
}

pub(super) fn caller(tokens: &Tokens, headers: &HeaderMap) -> Result<Caller, Problem> {
    if tokens.is_empty() {
        refuse_browsers(headers)?;
        return Ok(Caller::on_loopback());
    }
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token =
        given.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let unauthorized = |detail: &str| {
        Problem::new(Kind::Unauthorized, detail)
            .help("send `Authorization: Bearer TOKEN` with a token of the daemon's configuration")
    };
    let (_, token) = token.ok_or_else(|| unauthorized("the request carries no bearer token"))?;
    tokens.bearer(token.trim()).ok_or_else(|| unauthorized("this token is not known"))
}

/// Without tokens the port is open to this machine alone, and a browser on it runs the pages of strangers: a page of
/// theirs must not roll anything back, neither across origins nor by a name of its own that leads to loopback.
fn refuse_browsers(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value: &header::HeaderValue| value.to_str().unwrap_or_default());
    let host = text(header::HOST);
    let forbidden = |detail: String| Err(Problem::forbidden(detail).help("give the daemon `tokens` to let others in"));
    if let Some(host) = host.filter(|host| !is_loopback(host)) {
        return forbidden(format!("without tokens this daemon answers only to loopback names, not to `{host}`"));
    }
    match text(header::ORIGIN) {
        Some(origin) if host.is_none_or(|host| origin.strip_prefix("http://") != Some(host)) => {
            forbidden(format!("a page of `{origin}` may not talk to this daemon"))
        }
        _ => Ok(()),
    }
}

fn is_loopback(host: &str) -> bool {
    let Ok(uri) = host.parse::<Uri>() else { return false };
    let name = uri.host().unwrap_or_default();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), header::HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn without_tokens_only_this_machine_itself_may_ask() {
        let open = |pairs: &[_]| caller(&Tokens::default(), &headers(pairs)).is_ok();
        for host in ["127.0.0.1:7457", "localhost:7457", "[::1]:7457", "localhost"] {
            assert!(open(&[(header::HOST, host)]), "{host}");
        }
        assert!(open(&[]));
        assert!(!open(&[(header::HOST, "evil.example.com:7457")]));
        assert!(!open(&[(header::HOST, "127.0.0.1:7457"), (header::ORIGIN, "https://evil.example.com")]));
        assert!(!open(&[(header::HOST, "127.0.0.1:7457"), (header::ORIGIN, "null")]));
        assert!(open(&[(header::HOST, "127.0.0.1:7457"), (header::ORIGIN, "http://127.0.0.1:7457")]));
    }
}
