//! A connection to a database of either system, and what can go wrong with it.

use std::{net::SocketAddr, time::Duration};

use super::{
    address::{Address, System},
    mysql::Mysql,
    postgres::Postgres,
    spec::Question,
    value::Answer,
};
use crate::tcp::resolve;

/// An answer with more than this is given up, and its connection closed.
pub(super) const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// The database does not run the query, or it yields something else.
    Query(String),
    /// The database cannot be reached, or the connection is lost.
    Away(String),
    /// This host or its settings are at fault: trust, credentials.
    Here(String),
}

pub(super) enum Connection {
    Postgres(Box<Postgres>),
    Mysql(Box<Mysql>),
}

impl Connection {
    pub(super) async fn open(address: &Address) -> Result<Self, Problem> {
        match address.system {
            System::Postgres => Ok(Self::Postgres(Box::new(Postgres::open(address).await?))),
            System::Mysql => Ok(Self::Mysql(Box::new(Mysql::open(address).await?))),
        }
    }

    /// After [`Problem::Away`] the connection is of no use any more.
    pub(super) async fn ask(&mut self, question: &Question) -> Result<Answer, Problem> {
        match self {
            Self::Postgres(connection) => connection.ask(question).await,
            Self::Mysql(connection) => connection.ask(question).await,
        }
    }

    /// Tells the server. It may hang.
    pub(super) async fn close(self) {
        match self {
            Self::Postgres(connection) => connection.close().await,
            Self::Mysql(connection) => connection.close().await,
        }
    }
}

/// Where the host is. A name can lead to where no database is.
pub(super) async fn addresses(address: &Address) -> Result<Vec<SocketAddr>, Problem> {
    let Address { host, port, .. } = address;
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let found = resolve(&target).await;
    let found = found.map_err(|why| Problem::Here(format!("the host could not be resolved here: {why}")))?;
    match found.iter().find_map(|found| crate::http::link_local(&found.ip().to_string())) {
        Some(why) => Err(Problem::Here(why)),
        None => Ok(found),
    }
}

/// What the server gives the query: a little less than Belay waits, so that it is the server that says so.
pub(super) fn server_limit(timeout: Duration) -> Duration {
    timeout * 9 / 10
}
