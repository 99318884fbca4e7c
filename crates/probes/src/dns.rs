//! `dns`: what a name resolves to.
//!
//! Each read asks afresh, without a cache and without the search list: the name is the whole name.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use belay_core::reading::Reading;
use belay_plan::{
    catalogue::{SignalSpec, no_signal_findings},
    duration::format as duration_format,
    shape::{field, filled_list, object, pattern, text, words},
};
use belay_ports::{Clock, Fut, Permission, Sensor, sensor::Query};
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, RecordType},
    },
};
use serde::Deserialize;

use crate::{
    outcome::{Deadline, Outcome, chain, read_all},
    tcp::resolve,
};

pub(crate) const KEY: &str = "dns";

const DNS_PORT: u16 = 53;

/// For a whole look-up.
const LIMIT: Duration = Duration::from_secs(5);

/// For one question to one server; a lost packet is asked again within [`LIMIT`].
const QUESTION_LIMIT: Duration = Duration::from_secs(2);

/// What `dns` takes.
pub fn signal_spec() -> SignalSpec {
    let server = pattern(
        "the address of a DNS server",
        "^([A-Za-z0-9._-]+|[0-9A-Fa-f:.]+|\\[[0-9A-Fa-f:.]+\\]:[0-9]{1,5}|[A-Za-z0-9._-]+:[0-9]{1,5})$",
    );
    SignalSpec {
        key: KEY,
        summary: "What a name resolves to.",
        value: object([
            field("name", text("a DNS name"), "The whole name to ask for: no search list is applied."),
            field("type", words(["A", "AAAA", "CNAME", "MX", "NS", "TXT"]), "The type to ask for."),
            field("answers_any", filled_list(text("an answer")), "One of these has to be among the answers."),
            field("server", server, "Whom to ask; left out: the system's resolver.").optional(),
        ]),
        siblings: Vec::new(),
        check: no_signal_findings,
    }
}

/// Looks names up.
pub struct Dns {
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Deserialize)]
struct Spec {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    answers_any: Vec<String>,
    /// A host or an address, with or without a port. None: the resolver of this host.
    server: Option<String>,
}

impl Dns {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }

    async fn probe(&self, spec: Spec) -> Outcome {
        let asked = match &spec.server {
            Some(server) => format!("{} {} at {server}", spec.name, spec.kind),
            None => format!("{} {}", spec.name, spec.kind),
        };
        let mut deadline = Deadline::new(&*self.clock, LIMIT);
        let (resolver, name, kind) = match deadline.run(prepare(&spec)).await {
            Some(Ok(ready)) => ready,
            Some(Err(why)) => return Outcome::Unreadable(format!("{asked} was not asked for: {why}")),
            None => {
                return Outcome::Unreadable(format!("{asked} was not asked for: the server's name was not resolved"));
            }
        };
        let wanted = spec.answers_any.join(", ");
        match deadline.run(resolver.lookup(name, kind)).await {
            Some(Ok(found)) => {
                let answers = found.answers().iter().filter(|record| record.record_type() == kind);
                let answers: Vec<String> = answers.map(|record| answer_text(&record.data)).collect();
                judge(&asked, &answers, &spec.answers_any, &wanted)
            }
            Some(Err(NetError::Dns(DnsError::NoRecordsFound(none)))) => match none.response_code {
                ResponseCode::NXDomain => {
                    Outcome::Unhealthy(format!("{asked} does not exist (NXDOMAIN), wanted any of {wanted}"))
                }
                _ => Outcome::Unhealthy(format!("{asked} has no such record, wanted any of {wanted}")),
            },
            Some(Err(NetError::Dns(error))) => {
                Outcome::Undecided(format!("{asked} was not answered: {}", chain(&error)))
            }
            Some(Err(error)) => Outcome::Unreadable(format!("{asked} could not be asked for: {}", chain(&error))),
            None => Outcome::Unreadable(format!("{asked} was not answered within {}", duration_format(LIMIT))),
        }
    }
}

fn judge(asked: &str, answers: &[String], wanted: &[String], wanted_text: &str) -> Outcome {
    let found = answers.join(", ");
    let matches = |answer: &String| wanted.iter().any(|wanted| normal(wanted) == normal(answer));
    if answers.iter().any(matches) {
        Outcome::Healthy(format!("{asked} is {found}"))
    } else if answers.is_empty() {
        Outcome::Unhealthy(format!("{asked} has no such record, wanted any of {wanted_text}"))
    } else {
        Outcome::Unhealthy(format!("{asked} is {found}, wanted any of {wanted_text}"))
    }
}

async fn prepare(spec: &Spec) -> Result<(TokioResolver, Name, RecordType), String> {
    let mut name = Name::from_utf8(&spec.name).map_err(|error| chain(&error))?;
    name.set_fqdn(true);
    let kind: RecordType = spec.kind.parse().map_err(|_| format!("{} is not a record type", spec.kind))?;
    let mut builder = match &spec.server {
        Some(server) => {
            let config = ResolverConfig::from_name_servers(name_servers(server).await?);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
        None => TokioResolver::builder_tokio().map_err(|error| chain(&error))?,
    };
    let options = builder.options_mut();
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.timeout = QUESTION_LIMIT;
    options.attempts = 1;
    Ok((builder.build().map_err(|error| chain(&error))?, name, kind))
}

async fn name_servers(server: &str) -> Result<Vec<NameServerConfig>, String> {
    let address = match server.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::from((ip, DNS_PORT)).to_string(),
        Err(_) if server.contains(':') => server.to_owned(),
        Err(_) => format!("{server}:{DNS_PORT}"),
    };
    let found = resolve(&address).await.map_err(|why| format!("the server could not be resolved here: {why}"))?;
    Ok(found.into_iter().map(name_server).collect())
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

/// An answer as plans write it: a TXT record's parts joined, everything else in the usual text form.
fn answer_text(data: &RData) -> String {
    match data {
        RData::TXT(text) => text.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect(),
        other => other.to_string(),
    }
}

/// Addresses and names have several spellings.
fn normal(answer: &str) -> String {
    match answer.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => answer.trim_end_matches('.').to_lowercase(),
    }
}

impl Sensor for Dns {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(read_all(&*self.clock, queries, KEY, |spec| self.probe(spec)))
    }

    fn permissions(&self, _query: &Query) -> Vec<Permission> {
        Vec::new()
    }
}
