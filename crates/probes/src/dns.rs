//! `dns`: what a name resolves to.
//!
//! Each question is asked afresh, without a cache here and without the search list: the name is the whole name. A resolver
//! has a cache of its own, and repeats what it holds until the record's TTL has run out. The zone's own name servers do
//! not: they say what is true now, though not yet what every visitor sees. Those of a private zone cannot be asked; in its
//! VPC, the system's resolver can.

mod ask;
mod judge;
mod spec;

use std::{sync::Arc, time::Duration};

use belay_core::reading::Reading;
use belay_plan::duration::format as duration_format;
use belay_ports::{Clock, Fut, Permission, Sensor, sensor::Query};
use futures::{StreamExt, stream};
use hickory_resolver::proto::rr::{Name, RecordType};

pub use self::spec::signal_spec;
use self::{
    ask::{DNS_PORT, Server, name_servers},
    judge::{Asked, judge},
    spec::Spec,
};
use crate::outcome::{Deadline, Outcome, chain, read_all};

pub(crate) const KEY: &str = "dns";

/// For one question, with all that it takes.
const LIMIT: Duration = Duration::from_secs(5);

/// For many, or where the name servers have to be found first.
const LONG_LIMIT: Duration = Duration::from_secs(9);

/// Questions under way at the same time.
const CONCURRENT_QUESTIONS: usize = 20;

/// Looks names up.
pub struct Dns {
    clock: Arc<dyn Clock>,
    system: Server,
    /// Where name servers listen.
    port: u16,
}

impl Dns {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, system: Server::System, port: DNS_PORT }
    }

    /// With a resolver in the place of this host's, and name servers that listen on another port.
    #[cfg(test)]
    pub(crate) fn with_system(clock: Arc<dyn Clock>, system: std::net::SocketAddr, port: u16) -> Self {
        Self { clock, system: Server::At(vec![system]), port }
    }

    async fn probe(&self, spec: Spec) -> Outcome {
        let question = format!("{} {}", spec.name, spec.kind);
        let limit = if spec.is_authoritative() || spec.samples() > 1 { LONG_LIMIT } else { LIMIT };
        let mut deadline = Deadline::new(&*self.clock, limit);
        let asked = match &spec.server {
            Some(server) if !spec.is_authoritative() => format!("{question} at {server}"),
            _ => question.clone(),
        };
        let unasked = |why: &str| Outcome::Unreadable(format!("{asked} was not asked for: {why}"));
        let (name, kind) = match prepare(&spec) {
            Ok(prepared) => prepared,
            Err(why) => return unasked(&why),
        };
        let servers = match deadline.run(self.servers(&spec, &name)).await {
            Some(Ok(servers)) => servers,
            Some(Err(why)) => return unasked(&why),
            None => return unasked("the server's name was not resolved"),
        };
        // Every server in turn, and all of them at least once.
        let samples = spec.samples().max(servers.len());
        let asking = servers.iter().cycle().take(samples).map(|server| async {
            let question = match server {
                Server::Authoritative(server, _) => format!("{question} at {server}"),
                Server::System | Server::At(_) => asked.clone(),
            };
            Asked { question, reply: server.ask(&name, kind).await }
        });
        let replies = stream::iter(asking.collect::<Vec<_>>()).buffered(CONCURRENT_QUESTIONS).collect::<Vec<_>>();
        match deadline.run(replies).await {
            Some(replies) => {
                judge(&question, spec.wanted(), &replies, spec.is_authoritative().then_some(servers.len()))
            }
            None => Outcome::Unreadable(format!("{asked} was not answered within {}", duration_format(limit))),
        }
    }

    async fn servers(&self, spec: &Spec, name: &Name) -> Result<Vec<Server>, String> {
        match &spec.server {
            None => Ok(vec![self.system.clone()]),
            Some(_) if spec.is_authoritative() => name_servers(&self.system, name, self.port).await,
            Some(server) => Ok(vec![Server::named(server).await?]),
        }
    }
}

fn prepare(spec: &Spec) -> Result<(Name, RecordType), String> {
    let mut name = Name::from_utf8(&spec.name).map_err(|error| chain(&error))?;
    name.set_fqdn(true);
    let kind: RecordType = spec.kind.parse().map_err(|_| format!("{} is not a record type", spec.kind))?;
    Ok((name, kind))
}

impl Sensor for Dns {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        Box::pin(read_all(&*self.clock, queries, KEY, |spec| self.probe(spec)))
    }

    fn permissions(&self, _query: &Query) -> Vec<Permission> {
        Vec::new()
    }
}
