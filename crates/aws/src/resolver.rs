//! Where a name leads, as this host's resolver answers: what clients beside it would get.

use std::{net::IpAddr, time::Duration};

use belay_ports::Fut;
use hickory_resolver::TokioResolver;
use tokio::time::timeout;

/// For one name, with all that it takes.
const LIMIT: Duration = Duration::from_secs(3);
/// For one question to one server.
const QUESTION_LIMIT: Duration = Duration::from_secs(1);

/// Looks up addresses. Tests have one without a network.
pub trait Resolver: Send + Sync {
    /// The addresses of a host name, IPv4 or IPv6, asked afresh. The error says why there are none: no such name, no answer.
    fn addresses<'a>(&'a self, name: &'a str) -> Fut<'a, Result<Vec<IpAddr>, String>>;
}

/// The resolver of this host, without a cache here.
#[derive(Debug)]
pub(crate) struct System;

impl Resolver for System {
    fn addresses<'a>(&'a self, name: &'a str) -> Fut<'a, Result<Vec<IpAddr>, String>> {
        Box::pin(async move {
            let slow = |_| Err(format!("no answer within {} s", LIMIT.as_secs()));
            timeout(LIMIT, lookup(name)).await.unwrap_or_else(slow)
        })
    }
}

async fn lookup(name: &str) -> Result<Vec<IpAddr>, String> {
    let mut builder = TokioResolver::builder_tokio().map_err(|error| error.to_string())?;
    let options = builder.options_mut();
    (options.cache_size, options.timeout, options.attempts) = (0, QUESTION_LIMIT, 1);
    let resolver = builder.build().map_err(|error| error.to_string())?;
    // With its last dot, no search list is gone through.
    let found = resolver.lookup_ip(format!("{}.", name.trim_end_matches('.'))).await;
    Ok(found.map_err(|error| error.to_string())?.iter().collect())
}
