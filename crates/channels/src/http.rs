//! One request, and what becomes of it: sent, to be tried again, or never taken.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use belay_ports::{
    Clock, NotSent, Retry,
    near::{Nearness, nearness},
};
use futures::future::{Either, select};
use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{
    Certificate, Client, Method, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use tokio::net::lookup_host;

use crate::{
    address::{Address, refused},
    mask,
    way::{later, never, refused_for_now},
};

/// The part of an answer that is read, unless a request asks for more.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// So long the rest of an answer is waited for after its status.
const BODY_TIME_MAX: Duration = Duration::from_secs(5);
/// The longest `Retry-After` that is honoured.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// The HTTP clients, each created at its first use.
#[derive(Default)]
pub(crate) struct Http {
    clients: Mutex<Vec<(Route, Client)>>,
    /// Certificates in addition to those of the trust store.
    roots: Vec<Certificate>,
}

/// The route of a request: one client each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    /// HTTPS to other hosts, through the proxies of the environment.
    Far,
    /// HTTPS to this host, without a proxy.
    Near,
    /// Plain HTTP to private addresses, without a proxy.
    Plain,
}

/// What is sent.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) address: &'a Address,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// JSON.
    pub(crate) body: Option<String>,
    /// Secrets that are masked in answers.
    pub(crate) secrets: Vec<String>,
    pub(crate) answer_bytes_max: usize,
    pub(crate) clock: &'a dyn Clock,
}

/// An answer with a 2xx status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    secrets: Vec<String>,
}

impl Answer {
    /// For the record: `202 Event processed`.
    pub(crate) fn shown(&self, what: &str) -> String {
        format!("{} {}", self.status, mask::shown(what, &self.secrets)).trim_end().to_owned()
    }
}

impl Http {
    #[cfg(test)]
    pub(crate) fn trusting(roots: Vec<Certificate>) -> Self {
        Self { roots, ..Self::default() }
    }

    /// # Errors
    /// The request was not sent, was refused, or got no answer.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Answer, NotSent> {
        let address = request.address;
        let host = address.host();
        let mut headers = HeaderMap::new();
        for (name, value) in request.headers {
            let value =
                HeaderValue::from_str(&value).map_err(|_| never(format!("the header {name} cannot be sent")))?;
            headers.insert(HeaderName::from_static(name), value);
        }
        let client = self.client(address).map_err(|error| later(format!("TLS could not be set up: {error}")))?;
        let mut sending = client.request(request.method, address.url.clone()).headers(headers);
        if let Some(body) = request.body {
            sending = sending.header(CONTENT_TYPE, "application/json").body(body);
        }
        let answer = sending.send().await.map_err(|error| failed(host, error))?;
        let status = answer.status();
        let retry_after = retry_after(answer.headers(), request.clock.now());
        let secrets = request.secrets;
        // The status is what counts, even if the rest of the answer is slow or lost: with 2xx the receiver has accepted the request.
        let body = std::pin::pin!(body(answer, request.answer_bytes_max));
        let body = match select(body, request.clock.sleep(BODY_TIME_MAX)).await {
            Either::Left((body, _)) => body.unwrap_or_default(),
            Either::Right(((), _)) => Vec::new(),
        };
        if status.is_success() {
            return Ok(Answer { status: status.as_u16(), body, secrets });
        }
        let shown = mask::shown(&String::from_utf8_lossy(&body), &secrets);
        let said = if shown.is_empty() { String::new() } else { format!(": {shown}") };
        let why = format!("{host} answered {}{said}", status.as_u16());
        match status.as_u16() {
            300..400 => Err(refused_for_now(format!("{why}; redirects are not followed"))),
            // 420: Statuspage throttles with it.
            408 | 420 | 425 | 429 | 500.. => Err(NotSent { why, retry: Retry::Later { after: retry_after } }),
            // What is wrong is the request, and it will be the same.
            400 | 405 | 411 | 413..=415 | 422 | 431 => Err(never(why)),
            _ => Err(refused_for_now(why)),
        }
    }

    fn client(&self, address: &Address) -> Result<Client, reqwest::Error> {
        let route = match (address.is_plain(), nearness(address.host())) {
            (true, _) => Route::Plain,
            (false, Nearness::Far) => Route::Far,
            (false, _) => Route::Near,
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.iter().find(|(known, _)| *known == route) {
            return Ok(client.clone());
        }
        let builder = Client::builder()
            .redirect(Policy::none())
            .pool_max_idle_per_host(0)
            .dns_resolver(Resolver { plain: route == Route::Plain })
            .tls_certs_merge(self.roots.clone())
            .user_agent(concat!("belay/", env!("CARGO_PKG_VERSION")));
        let client = if route == Route::Far { builder } else { builder.no_proxy() }.build()?;
        clients.push((route, client.clone()));
        Ok(client)
    }
}

/// The beginning of an answer's body.
async fn body(mut answer: Response, bytes_max: usize) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while body.len() < bytes_max
        && let Some(chunk) = answer.chunk().await?
    {
        body.extend_from_slice(&chunk[..chunk.len().min(bytes_max - body.len())]);
    }
    Ok(body)
}

/// `Retry-After` as seconds or as a date, bounded to one hour.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = rfc2822::parse(text).ok()?.timestamp();
            Duration::from_secs(u64::try_from(until.duration_since(now).as_secs()).unwrap_or(0))
        }
    };
    Some(asked.min(RETRY_AFTER_MAX))
}

/// Resolves names, and refuses link-local addresses and, for plain HTTP, public ones.
struct Resolver {
    plain: bool,
}

/// A name resolved to an address that is refused.
#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Refused {}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let plain = self.plain;
        Box::pin(async move {
            let found: Vec<SocketAddr> = lookup_host((name.as_str(), 0)).await?.collect();
            match found.iter().find_map(|address| refused(address.ip(), plain)) {
                Some(why) => Err(Box::new(Refused(why)) as Box<dyn Error + Send + Sync>),
                None => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}

/// The error of a request without an answer. The request may have arrived.
fn failed(host: &str, error: reqwest::Error) -> NotSent {
    let error = error.without_url();
    if let Some(Refused(why)) = cause(&error) {
        return refused_for_now(format!("nothing is sent to {host}: {why}"));
    }
    later(format!("{host} did not answer: {}", chain(&error)))
}

fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error
        .downcast_ref::<E>()
        .or_else(|| wrapped.and_then(|inner| cause(inner)))
        .or_else(|| error.source().and_then(cause))
}

/// An error with the reasons behind it.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_says_for_how_long_it_is_left_alone() {
        let now: Timestamp = "2026-03-01T02:11:00Z".parse().unwrap();
        let asked = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
            retry_after(&headers, now).map(|asked| asked.as_secs())
        };
        assert_eq!(asked("30"), Some(30));
        assert_eq!(asked("999999999"), Some(3600));
        assert_eq!(asked("Sun, 01 Mar 2026 02:12:30 GMT"), Some(90));
        assert_eq!(asked("Sun, 01 Mar 2026 02:00:00 GMT"), Some(0));
        assert_eq!(asked("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
