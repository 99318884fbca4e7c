//! Talks to the daemon over HTTP.

mod answer;
mod meant;
mod refused;

pub(crate) use self::meant::IF_NONE_IS_OPEN;

use std::{net::IpAddr, time::Duration};

use reqwest::{
    Method, RequestBuilder, Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
    redirect,
};
use serde_json::{Value, json};

use crate::{
    board::Commands,
    clock,
    exit::{Exit, Failure},
};

const URL_VARIABLE: &str = "BELAY_URL";
const TOKEN_VARIABLE: &str = "BELAY_TOKEN";
const DEFAULT_URL: &str = "http://127.0.0.1:7457";
/// Before the path of a Unix socket.
const SOCKET: &str = "unix:";
/// What requests through a socket are addressed to: a request names a host.
const SOCKET_URL: &str = "http://localhost";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Arming reads a baseline from AWS before it answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
const EVENTS: &str = "text/event-stream";

/// Where the daemon is, and how to answer: what all its commands have in common. A token is a secret, and what stands on a
/// command line is seen by everybody on the machine: so it comes by the environment alone.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Daemon {
    #[command(flatten)]
    address: Address,
    /// JSON on standard output, and nothing else
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the daemon is, for a command that leaves standard output to others.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Address {
    // Read from the environment by hand: clap would show the option as required in the usage of every command.
    /// Where the daemon listens, if not where BELAY_URL says, or at http://127.0.0.1:7457; unix:/run/belay/belay.sock is a socket
    #[arg(long, value_name = "URL", help_heading = "Daemon")]
    url: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    /// As people name it.
    name: String,
    token: Option<HeaderValue>,
    commands: Commands,
}

/// Why events cannot be heard.
#[derive(Debug)]
pub(crate) enum Deaf {
    /// The daemon is away, or busy.
    ForNow,
    /// It does not know the cursor.
    Lost,
    /// It has no events.
    ForGood,
    /// Another try would be answered in the same way.
    Refused(Failure),
}

impl Daemon {
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        self.address.client()
    }
}

impl Address {
    /// Whether somebody has named a daemon.
    pub(crate) fn is_given(&self) -> bool {
        self.url.is_some() || std::env::var(URL_VARIABLE).is_ok_and(|url| !url.is_empty())
    }

    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let token = std::env::var(TOKEN_VARIABLE).ok().map(|token| token.trim().to_owned());
        let token = token.filter(|token| !token.is_empty()).as_deref().map(bearer).transpose()?;
        let usual = std::env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty());
        let usual = usual.unwrap_or_else(|| DEFAULT_URL.to_owned());
        let url = self.url.clone().filter(|url| *url != usual);
        let client = Client::at(url.as_ref().unwrap_or(&usual))?;
        if token.is_some() && client.is_open_to_others() {
            tracing::warn!("the token goes to {} unencrypted; let the daemon stand behind https", client.name);
        }
        Ok(Client { token, commands: Commands { url }, ..client })
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
        Failure::message(
            Exit::Usage,
            format!("{TOKEN_VARIABLE} does not hold a token: it has a letter that no token has"),
        )
        .help("a token is one line without spaces; `belay token` makes one")
    })?;
    header.set_sensitive(true);
    Ok(header)
}

impl Client {
    pub(crate) fn at(url: &str) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // A proxy of the environment is for the internet, not for a daemon beside us.
            .no_proxy()
            // A command that was sent elsewhere might not arrive as what it was.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("belay/", env!("CARGO_PKG_VERSION")));
        let commands = Commands { url: Some(url.to_owned()) };
        if let Some(path) = url.strip_prefix(SOCKET) {
            if !path.starts_with('/') {
                let failure = Failure::message(Exit::Usage, format!("`{url}` has no absolute path"));
                return Err(failure.help("write for example unix:/run/belay/belay.sock"));
            }
            let (http, name) = (http.unix_socket(path).build()?, url.to_owned());
            return Ok(Self { http, url: SOCKET_URL.to_owned(), name, token: None, commands });
        }
        let http = http.build()?;
        let help = "write for example http://127.0.0.1:7457 or unix:/run/belay/belay.sock in --url or BELAY_URL";
        // `127.0.0.1:7457` is what a daemon's configuration says.
        let bare = !url.contains("://") && url.contains(':');
        let url = &if bare { format!("http://{url}") } else { url.to_owned() };
        let parsed = Url::parse(url).map_err(|error| {
            let error = anyhow::Error::new(error).context(format!("`{url}` is not a URL"));
            Failure::new(Exit::Usage, error).help(help)
        })?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(Failure::message(Exit::Usage, format!("`{url}` is not a URL of a daemon")).help(help));
        }
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { http, name: url.clone(), url, token: None, commands })
    }

    /// Command lines that reach the same daemon.
    pub(crate) fn commands(&self) -> Commands {
        self.commands.clone()
    }

    fn is_open_to_others(&self) -> bool {
        let Ok(url) = Url::parse(&self.url) else { return false };
        let host = url.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        url.scheme() == "http" && host != "localhost" && !address.is_ok_and(|address| address.is_loopback())
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self.request(Method::GET, path).timeout(ANSWER_TIMEOUT);
        let answer = request.send().await.map_err(|error| self.unreachable(error))?;
        self.body(answer).await
    }

    /// What is asked of a run, or else of the incident of this id. `ask` gets the path of either.
    pub(crate) async fn of_either<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        id: &str,
        ask: impl Fn(String) -> F,
    ) -> Result<T, Failure> {
        let of_run = ask(format!("runs/{id}")).await;
        let unknown = |failure: &Failure| failure.refused.as_ref().is_some_and(|refused| refused.kind == "not_found");
        match of_run {
            Err(of_run) if unknown(&of_run) => match ask(format!("incidents/{id}")).await {
                Err(of_incident) if unknown(&of_incident) => Err(of_run),
                of_incident => of_incident,
            },
            of_run => of_run,
        }
    }

    /// An answer that is text, and no JSON.
    pub(crate) async fn text(&self, path: &str) -> Result<String, Failure> {
        let request = self.request(Method::GET, path).timeout(ANSWER_TIMEOUT);
        let answer = request.send().await.map_err(|error| self.unreachable(error))?;
        Ok(String::from_utf8_lossy(&self.bytes(answer).await?).into_owned())
    }

    /// Whether the daemon says that it is alive. Everybody may ask.
    pub(crate) async fn is_alive(&self) -> Result<bool, Failure> {
        let request = self.http.get(format!("{}/healthz", self.url)).timeout(CONNECT_TIMEOUT);
        Ok(request.send().await.map_err(|error| self.unreachable(error))?.status().is_success())
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
        self.post_as(&clock::fresh_key(), path, body).await
    }

    /// Reports what is worth nothing a moment later, so no answer is kept for it. Whether the daemon took it.
    pub(crate) async fn report(&self, path: &str, body: &Value) -> bool {
        let request = self.request(Method::POST, path).timeout(ANSWER_TIMEOUT).json(body);
        request.send().await.is_ok_and(|answer| answer.status().is_success())
    }

    /// The same under the caller's key: asked again with it, also after an outage, it is not done twice.
    pub(crate) async fn post_as(&self, key: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = || {
            let request = self.request(Method::POST, path).timeout(ANSWER_TIMEOUT);
            request.header("Idempotency-Key", key).json(body).send()
        };
        let answer = match request().await {
            Err(error) if !error.is_connect() && !error.is_timeout() => request().await,
            first => first,
        };
        self.body(answer.map_err(|error| self.unreachable(error))?).await
    }

    /// What happens from here on, or from behind a cursor: server-sent events, until the connection ends.
    pub(crate) async fn events(&self, cursor: Option<&str>) -> Result<Response, Deaf> {
        let mut request = self.request(Method::GET, "events").header(ACCEPT, EVENTS);
        if let Some(cursor) = cursor {
            request = request.header("Last-Event-ID", cursor);
        }
        // Only the answer's beginning is waited for: what it says takes as long as it takes.
        let answer = tokio::time::timeout(CONNECT_TIMEOUT * 2, request.send()).await;
        let answer = answer.map_err(|_| Deaf::ForNow)?.map_err(|_| Deaf::ForNow)?;
        let events = |kind: &HeaderValue| kind.as_bytes().starts_with(EVENTS.as_bytes());
        match answer.status() {
            StatusCode::OK if answer.headers().get(CONTENT_TYPE).is_some_and(events) => Ok(answer),
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT => Err(Deaf::Lost),
            StatusCode::OK
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_ACCEPTABLE
            | StatusCode::NOT_IMPLEMENTED => Err(Deaf::ForGood),
            StatusCode::TOO_MANY_REQUESTS => Err(Deaf::ForNow),
            status if status.is_server_error() => Err(Deaf::ForNow),
            _ => match self.body(answer).await {
                Err(failure) => Err(Deaf::Refused(failure)),
                Ok(_) => Err(Deaf::ForGood),
            },
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/v1/{path}", self.url));
        match &self.token {
            Some(token) => request.header(reqwest::header::AUTHORIZATION, token.clone()),
            None => request,
        }
    }

    async fn body(&self, answer: Response) -> Result<Value, Failure> {
        let body = self.bytes(answer).await?;
        if body.is_empty() {
            return Ok(json!({}));
        }
        serde_json::from_slice(&body).map_err(|error| {
            let error = anyhow::Error::new(error).context(format!("{} did not answer with JSON", self.name));
            Failure::new(Exit::Unexpected, error).help("check that --url is that of a Belay daemon")
        })
    }

    /// The body of an answer that is no problem.
    async fn bytes(&self, answer: Response) -> Result<Vec<u8>, Failure> {
        let status = answer.status();
        let location = answer.headers().get("location").and_then(|to| to.to_str().ok()).map(str::to_owned);
        let body = answer::body(answer, answer::BYTES_MAX).await.map_err(|error| self.unreachable(error))?;
        let body = body.ok_or_else(|| {
            let why = format!("{} answers with more than {} MiB", self.name, answer::BYTES_MAX >> 20);
            Failure::message(Exit::Unexpected, why).help("check that --url is that of a Belay daemon")
        })?;
        if status.is_redirection() {
            let to = location.unwrap_or_else(|| "elsewhere".to_owned());
            return Err(Failure::message(Exit::Usage, format!("{} sends us to {to}", self.name))
                .help("give the address behind it with --url or BELAY_URL"));
        }
        if !status.is_success() {
            return Err(refused::failure(&self.name, status, &body, self.token.is_some()));
        }
        Ok(body)
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        let late = error.is_timeout() && !error.is_connect();
        let closed = !late && !error.is_connect();
        let what = match (late, closed) {
            (true, _) => format!("the daemon at {} has not answered in time", self.name),
            (_, true) => format!("{} was reached and has closed the connection without an answer", self.name),
            _ => format!("the daemon at {} cannot be reached", self.name),
        };
        // Each layer of the connection says it once more; the last one knows why.
        let error = anyhow::Error::new(error);
        let why = error.chain().last().map(ToString::to_string).unwrap_or_default();
        let help = match late {
            true => "it may do what it was asked for all the same: `belay status` shows it",
            false if error.chain().any(|cause| cause.to_string().contains("certificate")) => {
                "for an authority of your own, let SSL_CERT_FILE name the file with its certificate"
            }
            false if closed => {
                "it is stopping, has too many connections, or is no Belay daemon: ask again in a few seconds, then see its log"
            }
            false => "start one with `belay serve`, or say where it is with --url or BELAY_URL",
        };
        Failure::new(Exit::Unreachable, anyhow::anyhow!(why).context(what)).help(help)
    }
}
