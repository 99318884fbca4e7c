//! `http`: whether a page answers as it should.
//!
//! Each read makes a new connection: a kept one would go on reaching a server that new visitors no longer get to.
//! Proxies of the environment are not used: the probe stands for a visitor of exactly this URL.

mod body_json;
mod judge;
mod sent;
mod spec;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use belay_core::reading::Reading;
use belay_local::{
    mask::of_header,
    secrets::{Reference, Secrets},
};
use belay_plan::duration::format as duration_format;
use belay_ports::{Clock, Fut, Permission, Sensor, sensor::Query};
use reqwest::{
    Client, Method, Response, Url,
    header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION},
    redirect::Policy,
    tls::TlsInfo,
};
use tokio::task::spawn_blocking;

use self::judge::{judge, measured};
pub use self::spec::signal_spec;
pub(crate) use self::{
    judge::Answer,
    sent::{check as check_sent, link_local},
    spec::{HEADER, Spec},
};
use crate::{
    outcome::{Deadline, Outcome, Probed, chain, read_all},
    tcp::resolve,
    tls::{self, Certificate, Tls},
};

pub(crate) const KEY: &str = "http";

/// How much of a page's body is looked at.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Asks for a page, and compares what it answers.
pub struct Http {
    clock: Arc<dyn Clock>,
    tls: Arc<Tls>,
    secrets: Secrets,
}

/// The secrets that a signal refers to, by their references.
type Values = BTreeMap<String, String>;

/// One request, and where it goes.
struct Hop {
    url: Url,
    method: Method,
    headers: HeaderMap,
    /// Sent along, by requests that have one.
    body: Option<String>,
    /// In the place of the URL's host and port.
    connect_to: Option<String>,
}

impl Http {
    pub(crate) fn new(clock: Arc<dyn Clock>, tls: Arc<Tls>, secrets: Secrets) -> Self {
        Self { clock, tls, secrets }
    }

    async fn probe(&self, spec: Spec) -> Probed {
        let mut deadline = Deadline::new(&*self.clock, spec.timeout);
        match self.ask(&spec, &mut deadline).await {
            Ok((answer, asked)) => {
                let measured = measured(&spec, &answer);
                let secrets = answer.secrets.clone();
                let outcome = self.judged(spec, answer, asked, &mut deadline).await.masked(&secrets);
                match measured {
                    Some((value, limit)) => outcome.measured(value, limit),
                    None => outcome.into(),
                }
            }
            Err(outcome) => outcome.into(),
        }
    }

    /// What a service answers in the end, and how evidence calls the request.
    pub(crate) async fn ask(&self, spec: &Spec, deadline: &mut Deadline<'_>) -> Result<(Answer, String), Outcome> {
        let first = Hop::first(spec).map_err(Outcome::Unreadable)?;
        let asked = first.asked();
        let unsent = |asked: &str, why: String| Outcome::Unreadable(format!("{asked} was not sent: {why}"));
        let secrets = match deadline.run(self.look_up(spec)).await {
            Some(found) => found.map_err(|why| unsent(&asked, why))?,
            None => {
                let limit = duration_format(spec.timeout);
                let why = format!("its secrets could not be read within {limit}: does their disk answer?");
                return Err(unsent(&asked, why));
            }
        };
        let hop = first.with_headers(spec, &secrets).map_err(|why| unsent(&asked, why))?;
        let known: Vec<String> = secrets.values().flat_map(|secret| of_header(secret)).collect();
        match self.follow(spec, hop, asked, &secrets, deadline).await {
            Ok((answer, asked)) => Ok((Answer { secrets: known, ..answer }, asked)),
            Err(outcome) => Err(outcome.masked(&known)),
        }
    }

    async fn follow(
        &self,
        spec: &Spec,
        mut hop: Hop,
        mut asked: String,
        secrets: &Values,
        deadline: &mut Deadline<'_>,
    ) -> Result<(Answer, String), Outcome> {
        let began = self.clock.monotonic();
        let mut hops_left = spec.redirects;
        loop {
            let response = self.send(&hop, &asked, deadline).await?;
            let status = response.status().as_u16();
            let next = match hops_left {
                0 => None,
                _ => response.headers().get(LOCATION).filter(|_| response.status().is_redirection()),
            };
            let Some(location) = next else {
                if spec.redirects > 0 && response.status().is_redirection() && !spec.statuses().contains(&status) {
                    return Err(Outcome::Unhealthy(format!(
                        "{asked} answered {status}, after as many redirects as are followed ({})",
                        spec.redirects
                    )));
                }
                let answer = match deadline.run(read(response, spec)).await {
                    Some(Ok(answer)) => answer,
                    Some(Err(error)) => return Err(failed(&asked, error)),
                    None => return Err(not_within(&asked, spec.timeout)),
                };
                let took = self.clock.monotonic().saturating_sub(began);
                return Ok((Answer { took, ..answer }, asked));
            };
            hops_left -= 1;
            hop = match hop.redirected(status, location, spec, secrets) {
                Ok(next) => next,
                Err(why) => return Err(Outcome::Unhealthy(format!("{asked} answered {status}, but {why}"))),
            };
            asked = format!("{} (redirected from {})", hop.asked(), shown(&parsed(&spec.url)));
        }
    }

    /// Patterns are matched on a thread beside the loops, since a page can make that slow.
    async fn judged(&self, spec: Spec, answer: Answer, asked: String, deadline: &mut Deadline<'_>) -> Outcome {
        let now = self.clock.now();
        if !spec.has_patterns() {
            return judge(&spec, &answer, &asked, now);
        }
        let what = format!("{asked} answered {}", answer.status);
        match deadline.run(spawn_blocking(move || judge(&spec, &answer, &asked, now))).await {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Outcome::Unreadable(format!("{what}, but Belay is stopping")),
            None => {
                let limit = duration_format(deadline.limit());
                Outcome::Undecided(format!("{what}, but matching it with the patterns was not done within {limit}"))
            }
        }
    }

    /// The secrets that go along, as they are by now.
    async fn look_up(&self, spec: &Spec) -> Result<Values, String> {
        let mut found = Values::new();
        for text in spec.headers.values() {
            if let Some(reference) = Reference::parse(text) {
                reference.check()?; // a plan that was armed by an older version was not asked
                found.insert(text.clone(), self.secrets.look_up(&reference).await?);
            }
        }
        Ok(found)
    }

    async fn send(&self, hop: &Hop, asked: &str, deadline: &mut Deadline<'_>) -> Result<Response, Outcome> {
        let unsent = |why: String| Outcome::Unreadable(format!("{asked} was not sent: {why}"));
        let limit = deadline.limit();
        let addresses = match deadline.run(hop.addresses()).await {
            // A name can lead there, too.
            Some(Ok(addresses)) => match addresses.iter().find_map(|found| link_local(&found.ip().to_string())) {
                Some(why) => return Err(unsent(why)),
                None => addresses,
            },
            Some(Err(why)) => return Err(unsent(format!("the host could not be resolved here: {why}"))),
            None => {
                let limit = duration_format(limit);
                return Err(unsent(format!("the host could not be resolved here within {limit}")));
            }
        };
        let client = self.client(&hop.url, &addresses).map_err(unsent)?;
        // A port in the URL would stand over that of the address.
        let mut url = hop.url.clone();
        let mut headers = hop.headers.clone();
        if let Some(port) = url.port().filter(|_| hop.connect_to.is_some()) {
            let host = format!("{}:{port}", url.host_str().unwrap_or_default());
            if let (Ok(host), Ok(())) = (HeaderValue::from_str(&host), url.set_port(None)) {
                headers.entry(HOST).or_insert(host);
            }
        }
        let mut request = client.request(hop.method.clone(), url).headers(headers);
        if let Some(body) = &hop.body {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body.clone());
        }
        match deadline.run(request.send()).await {
            Some(Ok(response)) => Ok(response),
            Some(Err(error)) => Err(failed(asked, error)),
            None => Err(not_within(asked, limit)),
        }
    }

    /// A client for one request: the addresses were resolved beforehand, so that a name that this host cannot resolve is
    /// never mistaken for a service that does not answer.
    fn client(&self, url: &Url, addresses: &[SocketAddr]) -> Result<Client, String> {
        let builder = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .pool_max_idle_per_host(0)
            .resolve_to_addrs(url.host_str().unwrap_or_default(), addresses)
            .tls_info(true)
            .user_agent(concat!("belay/", env!("CARGO_PKG_VERSION")));
        let builder = match self.tls.config() {
            Ok(config) => builder.tls_backend_preconfigured(config),
            Err(why) if url.scheme() == "https" => return Err(why),
            // Nothing is verified on the way to an http URL.
            Err(_) => builder.tls_certs_only([]),
        };
        builder.build().map_err(|error| chain(&error))
    }
}

impl Hop {
    fn first(spec: &Spec) -> Result<Self, String> {
        let url = Url::parse(&spec.url).map_err(|why| format!("the signal's URL cannot be understood: {why}"))?;
        let method = Method::from_bytes(spec.method.as_bytes()).unwrap_or(Method::GET);
        let (body, connect_to) = (spec.form.clone(), spec.connect_to.clone());
        Ok(Self { url, method, headers: HeaderMap::new(), body, connect_to })
    }

    fn with_headers(self, spec: &Spec, secrets: &Values) -> Result<Self, String> {
        Ok(Self { headers: headers(spec, Some(secrets))?, ..self })
    }

    fn asked(&self) -> String {
        match &self.connect_to {
            Some(address) => format!("{} {} at {address}", self.method, shown(&self.url)),
            None => format!("{} {}", self.method, shown(&self.url)),
        }
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        match &self.connect_to {
            Some(address) => resolve(address).await,
            None => {
                let host = self.url.host_str().ok_or("the URL has no host")?;
                let port = self.url.port_or_known_default().ok_or("the URL has no port")?;
                resolve(&format!("{host}:{port}")).await
            }
        }
    }

    /// Where an answer leads.
    fn redirected(&self, status: u16, location: &HeaderValue, spec: &Spec, secrets: &Values) -> Result<Self, String> {
        let location = location.to_str().map_err(|_| "its header Location cannot be read".to_owned())?;
        let url = self.url.join(location).map_err(|error| format!("its header Location is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("it leads to {}, which is no http or https URL", shown(&url)));
        }
        let host = url.host_str().unwrap_or_default();
        let is_allowed = |allowed: &String| allowed.eq_ignore_ascii_case(host);
        if parsed(&spec.url).host_str() != Some(host) && !spec.redirect_hosts.iter().any(is_allowed) {
            return Err(format!(
                "it leads to another host, {}: list it in `redirect_hosts` if that is meant",
                shown(&url)
            ));
        }
        let is_home = url.origin() == parsed(&spec.url).origin();
        // RFC 9110, 15.4.4: "see other" is to be looked at.
        let method = if status == 303 && self.method != Method::HEAD { Method::GET } else { self.method.clone() };
        Ok(Self {
            method,
            headers: headers(spec, Some(secrets).filter(|_| is_home))?,
            body: None,
            connect_to: spec.connect_to.clone().filter(|_| is_home),
            url,
        })
    }
}

/// The headers to send; what is secret goes to the URL's own host only.
fn headers(spec: &Spec, secrets: Option<&Values>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, text) in &spec.headers {
        let wrong = || format!("the header {name} cannot be sent");
        let value = match (Reference::parse(text), secrets) {
            (None, _) => text,
            (Some(_), None) => continue,
            (Some(_), Some(secrets)) => secrets.get(text).ok_or_else(wrong)?,
        };
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        value.set_sensitive(Reference::parse(text).is_some());
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value);
    }
    Ok(headers)
}

async fn read(mut response: Response, spec: &Spec) -> Result<Answer, reqwest::Error> {
    let status = response.status().as_u16();
    let wanted: Vec<String> = spec.header_matches().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let value = |name: String| {
        let values: Vec<_> =
            response.headers().get_all(&name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        (!values.is_empty()).then(|| (name, values.join(", ")))
    };
    let headers: BTreeMap<String, String> = wanted.into_iter().filter_map(value).collect();
    let certificate = response.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
    let certificate = certificate.and_then(Certificate::of);
    let mut body = Vec::new();
    if spec.statuses().contains(&status) && spec.wants_body() {
        while body.len() < spec.body_bytes_max
            && let Some(chunk) = response.chunk().await?
        {
            body.extend_from_slice(&chunk);
        }
        body.truncate(spec.body_bytes_max);
    }
    Ok(Answer { status, headers, body, certificate, ..Answer::default() })
}

fn not_within(asked: &str, limit: Duration) -> Outcome {
    Outcome::Unhealthy(format!("{asked} was not answered within {}", duration_format(limit)))
}

/// A request that got no answer. Most of it is the service's doing; a TLS handshake that fails is only where the
/// certificate speaks against the service itself, since the trust store of this host may be the one at fault.
fn failed(asked: &str, error: reqwest::Error) -> Outcome {
    let error = error.without_url();
    match tls::refusal(&error) {
        Some(refusal) if refusal.is_of_the_service => {
            Outcome::Unhealthy(format!("{asked} got no TLS connection that visitors accept: {}", refusal.why))
        }
        Some(refusal) => Outcome::Unreadable(format!("{asked} was not sent: no TLS connection: {}", refusal.why)),
        None => Outcome::Unhealthy(format!("{asked} was not answered: {}", chain(&error))),
    }
}

/// A plan's URL, which has been parsed before.
fn parsed(url: &str) -> Url {
    Url::parse(url).expect("a hop was made from it")
}

/// A URL as evidence may show it: without a password.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

impl Sensor for Http {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(read_all(&*self.clock, queries, KEY, |spec| self.probe(spec)))
    }

    fn permissions(&self, _query: &Query) -> Vec<Permission> {
        Vec::new()
    }
}
