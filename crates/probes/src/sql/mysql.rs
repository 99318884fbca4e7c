//! MySQL and MariaDB: one prepared statement in a read-only transaction.

use mysql_async::{
    Column, Conn, DriverError, Error, IoError, OptsBuilder, Row, ServerError, SslOpts, Value, consts::ColumnType,
    prelude::Queryable,
};

use super::{
    address::{Address, Protection},
    connection::{ANSWER_BYTES_MAX, Problem, addresses, server_limit},
    spec::Question,
    statement, trust,
    value::{Answer, Cell, choose},
};
use crate::outcome::{bounded, chain};

pub(super) struct Mysql {
    connection: Conn,
    is_mariadb: bool,
}

impl Mysql {
    pub(super) async fn open(address: &Address) -> Result<Self, Problem> {
        addresses(address).await?;
        let options = OptsBuilder::default()
            .ip_or_hostname(address.host.clone())
            .tcp_port(address.port)
            .user(Some(address.user.clone()))
            .pass(address.password.clone())
            .db_name(Some(address.database.clone()).filter(|name| !name.is_empty()))
            .ssl_opts(protection(&address.protection).await?)
            // Otherwise it would leave TCP, and TLS with it, for a socket of this host.
            .prefer_socket(false)
            .stmt_cache_size(0)
            .max_allowed_packet(Some(ANSWER_BYTES_MAX));
        let mut connection = Conn::new(options).await.map_err(problem)?;
        let version: Option<String> = connection.query_first("select version()").await.map_err(problem)?;
        // Also for what comes after a transaction that a query has ended.
        connection.query_drop("set session transaction read only").await.map_err(problem)?;
        // Two rows are too many already.
        connection.query_drop("set session sql_select_limit = 2").await.map_err(problem)?;
        Ok(Self { connection, is_mariadb: version.is_some_and(|version| version.contains("MariaDB")) })
    }

    pub(super) async fn ask(&mut self, question: &Question) -> Result<Answer, Problem> {
        let limit = server_limit(question.timeout);
        let limit = match self.is_mariadb {
            true => format!("set session max_statement_time = {}", limit.as_secs_f64()),
            false => format!("set session max_execution_time = {}", limit.as_millis().max(1)),
        };
        self.connection.query_drop(limit).await.map_err(problem)?;
        self.connection.query_drop("start transaction read only").await.map_err(problem)?;
        let answer = self.read(question).await;
        if !matches!(answer, Err(Problem::Away(_))) {
            self.connection.query_drop("rollback").await.map_err(problem)?;
        }
        answer
    }

    async fn read(&mut self, question: &Question) -> Result<Answer, Problem> {
        let prepared = self.connection.prep(question.query.as_str()).await.map_err(problem)?;
        let answer = self.execute(question, &prepared).await;
        if !matches!(answer, Err(Problem::Away(_))) {
            self.connection.close(prepared).await.map_err(problem)?;
        }
        answer
    }

    async fn execute(&mut self, question: &Question, prepared: &mysql_async::Statement) -> Result<Answer, Problem> {
        if prepared.num_params() > 0 {
            return Err(Problem::Query("the query has placeholders (?), and there is nothing to put there".to_owned()));
        }
        if prepared.columns().is_empty() && statement::reads(&question.query) {
            let why = "it puts what it reads elsewhere (`into ...`), which a read-only transaction does not prevent";
            return Err(Problem::Query(format!("the query yields no value, and was not run: {why}")));
        }
        if prepared.columns().is_empty() && !statement::may_be_sent(&question.query) {
            return Err(Problem::Query("the query yields no value: it is no question".to_owned()));
        }
        if !statement::is_known(&question.query) {
            let why = "it does not begin with `select` or another word of a statement that reads, and may change what a read-only \
                       transaction does not protect (`analyze table`)";
            return Err(Problem::Query(format!("the statement was not run: {why}")));
        }
        let mut result = self.connection.exec_iter(prepared, ()).await.map_err(problem)?;
        let columns: Vec<Column> = result.columns_ref().to_vec();
        let names: Vec<String> = columns.iter().map(|column| column.name_str().into_owned()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let chosen = choose(&names, question.column.as_deref());
        let (first, second) = match chosen {
            Ok(_) => (result.next().await.map_err(problem)?, result.next().await.map_err(problem)?),
            Err(_) => (None, None),
        };
        result.drop_result().await.map_err(problem)?;
        let column = chosen.map_err(Problem::Query)?;
        Ok(match (first, second) {
            (None, _) => Answer::NoRow,
            (Some(row), None) => Answer::OneRow(cell(&row, column, columns[column].column_type())),
            (Some(_), Some(_)) => Answer::SeveralRows,
        })
    }

    pub(super) async fn close(self) {
        // That it is over is all that matters.
        let _ = self.connection.disconnect().await;
    }
}

async fn protection(protection: &Protection) -> Result<Option<SslOpts>, Problem> {
    let options = SslOpts::default().with_disable_built_in_roots(true);
    match protection {
        Protection::None => Ok(None),
        Protection::Encrypted => {
            // It is not asked, but it has to be there.
            let roots =
                trust::roots(None).await.map_err(|why| Problem::Here(format!("TLS could not be set up: {why}")))?;
            let roots = roots.into_iter().map(|root| root.to_vec().into()).collect();
            Ok(Some(options.with_root_certs(roots).with_danger_accept_invalid_certs(true)))
        }
        Protection::Verified { roots } => {
            let roots = trust::roots(roots.clone()).await;
            let roots = roots.map_err(|why| Problem::Here(format!("TLS could not be set up: {why}")))?;
            Ok(Some(options.with_root_certs(roots.into_iter().map(|root| root.to_vec().into()).collect())))
        }
    }
}

fn cell(row: &Row, column: usize, kind: ColumnType) -> Cell {
    match row.as_ref(column) {
        None | Some(Value::NULL) => Cell::Null,
        Some(Value::Int(number)) => Cell::Text(number.to_string()),
        Some(Value::UInt(number)) => Cell::Text(number.to_string()),
        Some(Value::Float(number)) => Cell::Text(number.to_string()),
        Some(Value::Double(number)) => Cell::Text(number.to_string()),
        Some(Value::Bytes(_)) if kind == ColumnType::MYSQL_TYPE_BIT => Cell::Other("bit".to_owned()),
        Some(Value::Bytes(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Other("binary value".to_owned()),
        },
        Some(Value::Date(..)) => Cell::Other("date".to_owned()),
        Some(Value::Time(..)) => Cell::Other("time".to_owned()),
    }
}

fn problem(error: Error) -> Problem {
    match error {
        Error::Server(ServerError { code, message, .. }) => {
            let message = bounded(&message);
            match code {
                // Access denied, no such database, and a host that is not let in.
                1044 | 1045 | 1049 | 1129 | 1130 | 1698 | 3118 | 3159 => {
                    Problem::Here(format!("the server refuses the session: {message}"))
                }
                // Too many connections, shutdown, killed.
                1040 | 1053 | 1077 | 1079 | 1203 | 1927 | 3169 => {
                    Problem::Away(format!("the server gives up: {message}"))
                }
                // The limits of MySQL and of MariaDB.
                3024 | 1969 => Problem::Query(format!("the query took too long: {message}")),
                _ => Problem::Query(format!("the database refuses the query: {message}")),
            }
        }
        Error::Io(IoError::Tls(error)) => {
            Problem::Here(trust::refusal(&error).unwrap_or_else(|| format!("no TLS connection: {}", chain(&error))))
        }
        Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            Problem::Here("no TLS connection: the server offers none".to_owned())
        }
        // The codec has no error of its own that could be matched.
        Error::Io(IoError::Io(error)) if error.to_string().contains("max_allowed_packet") => {
            Problem::Away(format!("the answer has more than {} KiB", ANSWER_BYTES_MAX / 1024))
        }
        Error::Io(IoError::Io(error)) if trust::refusal(&error).is_none() => Problem::Away(error.to_string()),
        error => trust::refusal(&error).map_or_else(|| Problem::Away(chain(&error)), Problem::Here),
    }
}
