//! `sql` and `sql_difference`: one number that a query yields, against a threshold; and how far the numbers of two databases
//! are apart.
//!
//! A query runs as one statement (the protocols of prepared statements take no more) in a read-only transaction that is rolled
//! back, with a time-out at the server and one here. What is not one number is unknown, and so is a database that is away:
//! only an answer says something about the data.

mod address;
mod connection;
mod mysql;
mod pool;
mod postgres;
mod spec;
mod statement;
#[cfg(test)]
mod tests;
mod trust;
mod value;

use std::sync::Arc;

use belay_core::reading::Reading;
use belay_local::{
    permit::{Gate, Reach, What},
    secrets::{Reference, Secrets},
};
use belay_plan::{comparison::Comparison, duration::format as duration_format};
use belay_ports::{Clock, Endpoint, Fut, Permission, Sensor, sensor::Query};
use futures::join;
use serde_json::{Value, json};

pub use self::spec::{difference_spec, signal_spec};
use self::{
    address::Address,
    connection::Problem,
    pool::Pool,
    spec::{DifferenceSpec, Place, Question, Redirected, Spec},
    value::{Difference, Number},
};
use crate::outcome::{Deadline, Outcome, Probed, SOURCE, read_entries};

pub(crate) const KEY: &str = "sql";
pub(crate) const DIFFERENCE_KEY: &str = "sql_difference";

/// Asks databases. Clones share their connections.
#[derive(Clone)]
pub(crate) struct Databases {
    clock: Arc<dyn Clock>,
    secrets: Secrets,
    gate: Gate,
    pool: Arc<Pool>,
}

/// A number, and the database that it is from.
struct Found {
    number: Number,
    place: String,
}

impl Databases {
    pub(crate) fn new(clock: Arc<dyn Clock>, secrets: Secrets, gate: Gate) -> Self {
        let pool = Arc::new(Pool::new(Arc::clone(&clock)));
        Self { clock, secrets, gate, pool }
    }

    async fn compare(&self, signal: String, spec: Spec) -> Probed {
        let Spec { sql, healthy } = spec;
        let Found { number, place } =
            match self.ask(&signal, (&sql.place(), sql.redirected.as_ref()), &sql.question).await {
                Ok(found) => found,
                Err(outcome) => return outcome.into(),
            };
        let what = sql.question.column.as_deref().unwrap_or("the query's value");
        let holds = healthy.holds_exactly(&number.exact);
        judged(&healthy, number.value, holds, format!("{what} at {place} is {}", number.text))
    }

    async fn difference(&self, signal: String, spec: DifferenceSpec) -> Probed {
        let DifferenceSpec { sql_difference: sides, healthy } = spec;
        let ask = |place| self.ask(&signal, (place, None), &sides.question);
        let (left, right) = match join!(ask(&sides.left), ask(&sides.right)) {
            (Ok(left), Ok(right)) => (left, right),
            (Err(outcome), _) => return outcome.of("left: ").into(),
            (_, Err(outcome)) => return outcome.of("right: ").into(),
        };
        let Difference { absolute, percent } = Difference::between(&left.number, &right.number);
        let evidence = format!(
            "{} at {} and {} at {} differ by {absolute} ({percent:.3}%)",
            left.number.text, left.place, right.number.text, right.place
        );
        let value = if healthy.is_percent { percent } else { absolute };
        judged(&healthy, value, healthy.holds(value), evidence)
    }

    async fn ask(
        &self,
        signal: &str,
        place: (&Place, Option<&Redirected>),
        question: &Question,
    ) -> Result<Found, Outcome> {
        let mut deadline = Deadline::new(&*self.clock, question.timeout);
        let limit = duration_format(question.timeout);
        let unasked = |why: String| Outcome::Unreadable(format!("the database was not asked: {why}"));
        let address = match deadline.run(self.address(signal, place)).await {
            Some(address) => address.map_err(unasked)?,
            None => {
                return Err(unasked(format!("its secrets could not be read within {limit}: does their disk answer?")));
            }
        };
        let began = self.clock.monotonic();
        let waited = || match self.clock.monotonic().saturating_sub(began) {
            waited if waited * 4 > question.timeout => format!(
                ": for {} ms of it other signals asked it, and they do so one after the other; give them more `timeout`, or \
                 quicker queries",
                waited.as_millis()
            ),
            _ => String::new(),
        };
        let late = |waited: String| Outcome::Undecided(format!("{address} did not answer within {limit}{waited}"));
        let Some(mut turn) = deadline.run(self.pool.turn(&address)).await else { return Err(late(waited())) };
        let waited = waited();
        let answer = deadline.run(self.pool.ask(&mut turn, &address, question)).await;
        let answer = answer.ok_or_else(|| late(waited))?;
        match answer {
            Ok(answer) => match answer.number() {
                Ok(number) => Ok(Found { number, place: address.to_string() }),
                Err(why) => Err(Outcome::Undecided(format!("{address}: {why}"))),
            },
            Err(Problem::Query(why) | Problem::Away(why)) => Err(Outcome::Undecided(format!("{address}: {why}"))),
            Err(Problem::Here(why)) => Err(Outcome::Unreadable(format!("{address}: {why}"))),
        }
    }

    /// Where the database is by now, if the configuration permits it.
    async fn address(
        &self,
        signal: &str,
        (place, redirected): (&Place, Option<&Redirected>),
    ) -> Result<Address, String> {
        let look_up = async |reference: &Reference| {
            reference.check()?; // a plan that was armed by an older version was not asked
            self.secrets.look_up(reference).await
        };
        let url = Reference::parse(place.url());
        let mut address = match &url {
            Some(reference) => {
                Address::parse(&look_up(reference).await?).map_err(|why| format!("in {reference}: {why}"))?
            }
            None => Address::parse(place.url())?,
        };
        if let Some(Redirected { host, port }) = redirected {
            address.host.clone_from(host);
            address.port = port.unwrap_or(address.port);
        }
        let password = place.password().and_then(Reference::parse);
        // The host is known only now where the URL is a secret.
        for reach in reaches_of(signal, &address.host, url.as_ref().or(password.as_ref())) {
            self.gate.judge(&reach)?;
        }
        if let Some(reference) = &password {
            address.password = Some(look_up(reference).await?);
        }
        Ok(address)
    }
}

fn judged(healthy: &Comparison, value: f64, holds: bool, evidence: String) -> Probed {
    let outcome = match holds {
        true => Outcome::Healthy(format!("{evidence}, which is {}", healthy.text)),
        false => Outcome::Unhealthy(format!("{evidence}, which is not {}", healthy.text)),
    };
    outcome.measured(value, healthy)
}

fn reaches_of(signal: &str, host: &str, secret: Option<&Reference>) -> Vec<Reach> {
    let by = format!("signal {signal}");
    let asks = What::Asks { host: host.to_owned() };
    let sends = secret.map(|secret| What::Sends { secret: secret.clone(), host: host.to_owned() });
    [asks].into_iter().chain(sends).map(|what| Reach { by: by.clone(), what }).collect()
}

/// What a signal opens, as far as its plan shows it: a URL that is a secret shows no host.
pub(crate) fn reaches(signal: &str, kind: &str, entry: &Value) -> Vec<Reach> {
    let of = |(url, password): (String, Option<String>)| match Reference::parse(&url) {
        Some(secret) => vec![Reach { by: format!("signal {signal}"), what: What::Opens { secret } }],
        None => {
            let host = Address::parse(&url).map(|address| address.host).unwrap_or_default();
            reaches_of(signal, &host, password.as_deref().and_then(Reference::parse).as_ref())
        }
    };
    spec::places(kind, entry).into_iter().flat_map(of).collect()
}

/// The sensor of `sql`.
pub(crate) struct Sql(pub(crate) Databases);

impl Sensor for Sql {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        let source = |_: &Value| SOURCE.to_owned();
        Box::pin(read_entries(&*self.0.clock, queries, KEY, source, |signal, spec| self.0.compare(signal, spec)))
    }

    fn redirected(&self, query: &Query, to: &Endpoint) -> Result<Query, String> {
        let mut redirected = query.clone();
        redirected.spec[KEY]["redirected"] = json!({ "host": to.host, "port": to.port });
        Ok(redirected)
    }

    fn permissions(&self, _query: &Query) -> Vec<Permission> {
        Vec::new()
    }
}

/// The sensor of `sql_difference`.
pub(crate) struct SqlDifference(pub(crate) Databases);

impl Sensor for SqlDifference {
    fn read<'a>(&'a self, queries: &'a [Query]) -> Fut<'a, Vec<Reading>> {
        let source = |_: &Value| SOURCE.to_owned();
        Box::pin(read_entries(&*self.0.clock, queries, DIFFERENCE_KEY, source, |signal, spec| {
            self.0.difference(signal, spec)
        }))
    }

    fn redirected(&self, _query: &Query, _to: &Endpoint) -> Result<Query, String> {
        Err("it compares two databases, and does not show which of them is restored".to_owned())
    }

    fn permissions(&self, _query: &Query) -> Vec<Permission> {
        Vec::new()
    }
}
