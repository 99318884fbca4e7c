//! Asks DNS servers: one question, one answer, and nothing remembered in between.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, RecordType},
    },
};

use super::judge::Reply;
use crate::{outcome::chain, tcp::resolve};

pub(super) const DNS_PORT: u16 = 53;

/// For one question to one server.
const QUESTION_LIMIT: Duration = Duration::from_secs(2);

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Server {
    /// The resolver of this host.
    System,
    At(Vec<SocketAddr>),
    /// One of the zone's own name servers, by its name.
    Authoritative(String, Vec<SocketAddr>),
}

impl Server {
    pub(super) async fn named(server: &str) -> Result<Self, String> {
        let address = match server.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::from((ip, DNS_PORT)).to_string(),
            Err(_) if server.contains(':') => server.to_owned(),
            Err(_) => format!("{server}:{DNS_PORT}"),
        };
        let found = resolve(&address).await.map_err(|why| format!("the server could not be resolved here: {why}"))?;
        Ok(Self::At(found))
    }

    /// A new one for each question: a resolver gives one answer to all who ask it the same at the same time.
    fn resolver(&self) -> Result<TokioResolver, String> {
        let mut builder = match self {
            Self::System => TokioResolver::builder_tokio().map_err(|error| chain(&error))?,
            Self::At(addresses) | Self::Authoritative(_, addresses) => {
                let servers = addresses.iter().copied().map(name_server).collect();
                let config = ResolverConfig::from_name_servers(servers);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let options = builder.options_mut();
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = QUESTION_LIMIT;
        options.attempts = 1;
        options.recursion_desired = !matches!(self, Self::Authoritative(..));
        builder.build().map_err(|error| chain(&error))
    }

    pub(super) async fn ask(&self, name: &Name, kind: RecordType) -> Reply {
        let resolver = match self.resolver() {
            Ok(resolver) => resolver,
            Err(why) => return Reply::Silence(why),
        };
        let reply = lookup(&resolver, name, kind).await;
        let may_be_alias = matches!(self, Self::Authoritative(..)) && kind != RecordType::CNAME;
        if may_be_alias
            && matches!(reply, Reply::NoSuchRecord | Reply::NoSuchName | Reply::Failure(_))
            && let Reply::Answers(targets) = lookup(&resolver, name, RecordType::CNAME).await
        {
            return Reply::Alias(targets.join(", "));
        }
        reply
    }
}

async fn lookup(resolver: &TokioResolver, name: &Name, kind: RecordType) -> Reply {
    match resolver.lookup(name.clone(), kind).await {
        Ok(found) => {
            let answers = found.answers().iter().filter(|record| record.record_type() == kind);
            let answers: Vec<String> = answers.map(|record| answer_text(&record.data)).collect();
            if answers.is_empty() { Reply::NoSuchRecord } else { Reply::Answers(answers) }
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => match none.response_code {
            ResponseCode::NXDomain => Reply::NoSuchName,
            _ => Reply::NoSuchRecord,
        },
        Err(NetError::Dns(error)) => Reply::Failure(chain(&error)),
        Err(error) => Reply::Silence(chain(&error)),
    }
}

/// The name servers of the zone that a name is in, as `system` knows them; they listen on `port`.
pub(super) async fn name_servers(system: &Server, name: &Name, port: u16) -> Result<Vec<Server>, String> {
    let mut zone = name.clone();
    let names = loop {
        match system.ask(&zone, RecordType::NS).await {
            Reply::Answers(names) => break names,
            Reply::NoSuchRecord | Reply::NoSuchName => zone = zone.base_name(),
            Reply::Alias(why) | Reply::Failure(why) | Reply::Silence(why) => {
                return Err(format!("the name servers of {zone} were not found: {why}"));
            }
        }
        if zone.is_root() {
            return Err("no zone that it is in has name servers that this host can find".to_owned());
        }
    };
    let mut servers = Vec::new();
    for text in names {
        let host = Name::from_utf8(&text).map_err(|error| chain(&error))?;
        let mut addresses = Vec::new();
        let mut why = "it has no address".to_owned();
        for kind in [RecordType::A, RecordType::AAAA] {
            match system.ask(&host, kind).await {
                Reply::Answers(found) => addresses.extend(found.iter().filter_map(|text| text.parse::<IpAddr>().ok())),
                Reply::Failure(failure) | Reply::Silence(failure) => why = failure,
                Reply::NoSuchRecord | Reply::NoSuchName | Reply::Alias(_) => {}
            }
        }
        if addresses.is_empty() {
            return Err(format!("the name server {text} could not be resolved: {why}"));
        }
        let addresses = addresses.into_iter().map(|ip| SocketAddr::from((ip, port))).collect();
        servers.push(Server::Authoritative(text.trim_end_matches('.').to_owned(), addresses));
    }
    Ok(servers)
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
