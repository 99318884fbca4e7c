//! PostgreSQL: one statement of the extended protocol in a read-only transaction.

mod metered;
mod number;

use std::{future::Future, pin::Pin, pin::pin};

use futures::{
    future::{Either, select},
    stream::TryStreamExt,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_postgres::{
    Client, Config, Error, NoTls, Row, Transaction,
    config::SslMode,
    error::SqlState,
    tls::{MakeTlsConnect, TlsConnect},
    types::{Kind, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use self::{
    metered::{Meter, Metered},
    number::Numeric,
};
use super::{
    address::{Address, Protection},
    connection::{Problem, addresses, server_limit},
    spec::Question,
    statement, trust,
    value::{Answer, Cell, choose},
};
use crate::outcome::{bounded, chain};

/// It does the talking whenever it is polled, and ends with the connection.
type Talk = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

pub(super) struct Postgres {
    client: Client,
    talk: Talk,
    meter: Meter,
}

impl Postgres {
    pub(super) async fn open(address: &Address) -> Result<Self, Problem> {
        let found = addresses(address).await?;
        let stream =
            TcpStream::connect(&*found).await.map_err(|error| Problem::Away(format!("no connection: {error}")))?;
        let meter = Meter::default();
        let stream = Metered::new(stream, meter.clone());
        let mut config = Config::new();
        config.user(&address.user).dbname(&address.database).application_name("belay");
        if let Some(password) = &address.password {
            config.password(password);
        }
        let tls = match &address.protection {
            Protection::None => None,
            Protection::Encrypted => Some(trust::encrypted()),
            Protection::Verified { roots } => Some(trust::roots(roots.clone()).await.and_then(trust::verified)),
        };
        let (client, talk) = match tls {
            None => connect(config.ssl_mode(SslMode::Disable), stream, NoTls, &address.host).await?,
            Some(tls) => {
                let tls = tls.map_err(|why| Problem::Here(format!("TLS could not be set up: {why}")))?;
                config.ssl_mode(SslMode::Require);
                connect(&config, stream, MakeRustlsConnect::new(tls), &address.host).await?
            }
        };
        Ok(Self { client, talk, meter })
    }

    pub(super) async fn ask(&mut self, question: &Question) -> Result<Answer, Problem> {
        let Self { client, talk, meter } = self;
        meter.reset();
        match select(pin!(transact(client, question)), talk).await {
            Either::Left((answer, _)) => answer,
            Either::Right((Err(error), _)) => Err(problem(&error)),
            Either::Right((Ok(()), _)) => Err(Problem::Away("the server has closed the connection".to_owned())),
        }
    }

    pub(super) async fn close(self) {
        drop(self.client);
        // That it is over is all that matters.
        let _ = self.talk.await;
    }
}

async fn connect<T>(
    config: &Config,
    stream: Metered<TcpStream>,
    mut tls: T,
    host: &str,
) -> Result<(Client, Talk), Problem>
where
    T: MakeTlsConnect<Metered<TcpStream>>,
    T::TlsConnect: TlsConnect<Metered<TcpStream>>,
    T::Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let tls = tls.make_tls_connect(host).map_err(|error| Problem::Here(format!("no TLS: {}", error.into())))?;
    let (client, connection) = config.connect_raw(stream, tls).await.map_err(|error| problem(&error))?;
    Ok((client, Box::pin(connection)))
}

async fn transact(client: &mut Client, question: &Question) -> Result<Answer, Problem> {
    let transaction = client.build_transaction().read_only(true).start().await.map_err(|error| problem(&error))?;
    let answer = read(&transaction, question).await;
    if matches!(answer, Err(Problem::Away(_))) {
        return answer;
    }
    transaction.rollback().await.map_err(|error| problem(&error))?;
    answer
}

async fn read(transaction: &Transaction<'_>, question: &Question) -> Result<Answer, Problem> {
    let failed = |error: Error| problem(&error);
    let limit_ms = server_limit(question.timeout).as_millis().max(1);
    transaction.batch_execute(&format!("set local statement_timeout = {limit_ms}")).await.map_err(failed)?;
    let prepared = transaction.prepare(&question.query).await.map_err(failed)?;
    if !prepared.params().is_empty() {
        return Err(Problem::Query("the query has placeholders ($1), and there is nothing to put there".to_owned()));
    }
    let columns: Vec<&str> = prepared.columns().iter().map(tokio_postgres::Column::name).collect();
    if columns.is_empty() && statement::may_be_sent(&question.query) {
        // The session refuses it, with its own reason.
        transaction.execute(&prepared, &[]).await.map_err(failed)?;
    }
    let column = choose(&columns, question.column.as_deref()).map_err(Problem::Query)?;
    let portal = transaction.bind(&prepared, &[]).await.map_err(failed)?;
    // Two rows are too many already.
    let rows: Vec<Row> =
        transaction.query_portal_raw(&portal, 2).await.map_err(failed)?.try_collect().await.map_err(failed)?;
    match rows.as_slice() {
        [] => Ok(Answer::NoRow),
        [row] => cell(row, column).map(Answer::OneRow).map_err(|error| Problem::Query(chain(&error))),
        _ => Ok(Answer::SeveralRows),
    }
}

fn cell(row: &Row, column: usize) -> Result<Cell, Error> {
    let kind = row.columns()[column].type_();
    let text = match kind {
        &Type::BOOL => row.try_get::<_, Option<bool>>(column)?.map(|truth| u8::from(truth).to_string()),
        &Type::INT2 => row.try_get::<_, Option<i16>>(column)?.map(|number| number.to_string()),
        &Type::INT4 => row.try_get::<_, Option<i32>>(column)?.map(|number| number.to_string()),
        &Type::INT8 => row.try_get::<_, Option<i64>>(column)?.map(|number| number.to_string()),
        &Type::OID => row.try_get::<_, Option<u32>>(column)?.map(|number| number.to_string()),
        &Type::FLOAT4 => row.try_get::<_, Option<f32>>(column)?.map(|number| number.to_string()),
        &Type::FLOAT8 => row.try_get::<_, Option<f64>>(column)?.map(|number| number.to_string()),
        &Type::NUMERIC => row.try_get::<_, Option<Numeric>>(column)?.map(|number| number.0),
        &Type::TEXT | &Type::VARCHAR | &Type::BPCHAR | &Type::NAME | &Type::UNKNOWN => {
            row.try_get::<_, Option<&str>>(column)?.map(ToOwned::to_owned)
        }
        kind if matches!(kind.kind(), Kind::Enum(_)) => return Ok(Cell::Other(format!("value of the enum {kind}"))),
        kind => return Ok(Cell::Other(kind.to_string())),
    };
    Ok(text.map_or(Cell::Null, Cell::Text))
}

fn problem(error: &Error) -> Problem {
    if let Some(why) = trust::refusal(error) {
        return Problem::Here(why);
    }
    let Some(said) = error.as_db_error() else { return Problem::Away(chain(error)) };
    let text = bounded(said.message());
    match said.code() {
        &SqlState::QUERY_CANCELED => Problem::Query(format!("the query took too long: {text}")),
        code => match &code.code()[..2] {
            // Invalid authorization; "3D": there is no such database.
            "28" | "3D" => Problem::Here(format!("the server refuses the session: {text}")),
            // Connection exception, insufficient resources, operator intervention, system error.
            "08" | "53" | "57" | "58" => Problem::Away(format!("the server gives up: {text}")),
            _ => Problem::Query(format!("the database refuses the query: {text}")),
        },
    }
}
