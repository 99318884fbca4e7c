//! Talks to the daemon over HTTP.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode, header::ACCEPT};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    clock,
    exit::{Exit, Failure},
    text::Words,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Arming reads a baseline from AWS before it answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Where the daemon is, and how to answer: what all its commands have in common.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Daemon")]
pub(crate) struct Daemon {
    /// Where the daemon listens
    #[arg(long, env = "BELAY_URL", default_value = "http://127.0.0.1:7457", value_name = "URL")]
    pub(crate) url: String,
    /// Who asks, if the daemon wants to know
    #[arg(long, env = "BELAY_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// JSON on standard output, and nothing else
    #[arg(long, help_heading = "Options")]
    pub(crate) json: bool,
}

pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

/// An RFC 9457 problem, as the daemon answers it.
#[derive(Debug, Default, Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    help: String,
}

impl Daemon {
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let token = self.token.clone().filter(|token| !token.is_empty());
        Ok(Client { token, ..Client::at(&self.url)? })
    }
}

impl Client {
    pub(crate) fn at(url: &str) -> Result<Self, Failure> {
        // A proxy of the environment is for the internet, not for a daemon beside us.
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .no_proxy()
            .user_agent(concat!("belay/", env!("CARGO_PKG_VERSION")))
            .build()?;
        reqwest::Url::parse(url).map_err(|error| {
            let error = anyhow::Error::new(error).context(format!("`{url}` is not a URL"));
            Failure::new(Exit::Usage, error).help("write for example http://127.0.0.1:7457 in --url or BELAY_URL")
        })?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), token: None })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        let answer = self.request(Method::GET, path).send().await.map_err(|error| self.unreachable(error))?;
        self.body(answer).await
    }

    /// All items of a list, over all its pages.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        let mut page = self.get(path).await?;
        loop {
            if let Value::Array(found) = page["items"].take() {
                items.extend(found);
            }
            let Some(next) = page["next"].as_str() else { return Ok(items) };
            page = self.get(&format!("{path}?after={next}")).await?;
        }
    }

    /// Asks for something to be done, once: if the answer is lost, the same key asks for the same answer again.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let key = clock::fresh_key();
        let request = || self.request(Method::POST, path).header("Idempotency-Key", &key).json(body).send();
        let answer = match request().await {
            Err(error) if !error.is_connect() => request().await,
            first => first,
        };
        self.body(answer.map_err(|error| self.unreachable(error))?).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/v1/{path}", self.url)).header(ACCEPT, "application/json");
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn body(&self, answer: Response) -> Result<Value, Failure> {
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| self.unreachable(error))?;
        if !status.is_success() {
            return Err(self.refused(status, &body));
        }
        if body.is_empty() {
            return Ok(json!({}));
        }
        serde_json::from_slice(&body).map_err(|error| {
            let error = anyhow::Error::new(error).context(format!("{} did not answer with JSON", self.url));
            Failure::new(Exit::Unexpected, error).help("check that --url is that of a Belay daemon")
        })
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Failure {
        let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
        let exit = match status {
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => Exit::Usage,
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Exit::Unreachable,
            status if status.is_client_error() => Exit::Refused,
            _ => Exit::Unexpected,
        };
        let what = [problem.detail, problem.title].into_iter().find(|text| !text.is_empty());
        let what = what.unwrap_or_else(|| format!("{} answered {status}", self.url));
        let help =
            if status == StatusCode::UNAUTHORIZED { "give a token in BELAY_TOKEN".to_owned() } else { problem.help };
        Failure::message(exit, what).help(help)
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        let what = format!("the daemon at {} cannot be reached", self.url);
        Failure::new(Exit::Unreachable, anyhow::Error::new(error).context(what))
            .help("start one with `belay serve`, or say where it is with --url or BELAY_URL")
    }

    /// The migration that is meant: the one that is named, or the only one there is.
    pub(crate) async fn migration(&self, named: Option<&str>) -> Result<String, Failure> {
        if let Some(name) = named {
            return Ok(name.to_owned());
        }
        let names = names(&self.list("migrations").await?, "name", |_| true);
        only_one(names, "migration", "start the daemon with --plan PLAN")
    }

    /// The run that is meant: the one that is named, or the only one that is open.
    pub(crate) async fn run(&self, named: Option<&str>) -> Result<String, Failure> {
        if let Some(id) = named {
            return Ok(id.to_owned());
        }
        let open = |run: &Value| {
            run["state"].as_str().is_some_and(|state| matches!(state, "running" | "held" | "confirming" | "halted"))
        };
        let ids = names(&self.list("runs").await?, "id", open);
        only_one(ids, "open run", "`belay status` shows what there is")
    }

    /// The incident that is meant: the one that is named, or the only one that is open.
    pub(crate) async fn incident(&self, named: Option<&str>) -> Result<String, Failure> {
        if let Some(id) = named {
            return Ok(id.to_owned());
        }
        let ids = names(&self.list("incidents").await?, "id", |incident| incident["closed"].is_null());
        only_one(ids, "open incident", "`belay rollback` rolls back without one")
    }
}

fn names(items: &[Value], key: &str, wanted: impl Fn(&Value) -> bool) -> Vec<String> {
    let items = items.iter().filter(|item| wanted(item));
    items.filter_map(|item| item[key].as_str().map(str::to_owned)).collect()
}

/// A body with the reason, if there is one.
pub(crate) fn reason_body(reason: Option<&str>) -> Value {
    reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }))
}

fn only_one(mut found: Vec<String>, what: &str, if_none: &str) -> Result<String, Failure> {
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Failure::message(Exit::Refused, format!("there is no {what}")).help(if_none)),
        _ => Err(Failure::message(Exit::Usage, format!("there are several: say which {what} is meant"))
            .help(format!("one of {}", Words(&found)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_meant_by_itself_and_several_are_not() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(only_one(names(&["shop"]), "migration", "").unwrap(), "shop");
        assert_eq!(only_one(names(&[]), "migration", "").unwrap_err().exit, Exit::Refused);
        let several = only_one(names(&["shop", "stock"]), "migration", "").unwrap_err();
        assert_eq!((several.exit, several.help.as_deref()), (Exit::Usage, Some("one of shop, stock")));
    }
}
