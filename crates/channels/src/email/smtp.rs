//! One conversation with a mail server.

use std::net::{IpAddr, SocketAddr};

use belay_ports::{
    NotSent,
    near::{Nearness, address_nearness, nearness},
};
use lettre::{
    Address,
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, AsyncTokioStream, Certificate, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::ClientId,
        response::Response,
    },
};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use tokio::net::lookup_host;

use super::stream::Bounded;
use crate::{
    address::refused,
    http::chain,
    mask,
    way::{later, never, refused_for_now},
};

/// A mail server, by its URL.
pub(super) struct Server {
    host: String,
    port: u16,
    security: Security,
    login: Option<(String, String)>,
    /// Secrets that are masked in answers.
    secrets: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Security {
    /// TLS from the first byte on.
    Tls,
    StartTls,
    None,
}

/// The result of a mail for each recipient.
pub(super) struct Outcome {
    /// What the server answered to the mail.
    pub(super) said: String,
    pub(super) taken: Vec<String>,
    /// Permanently refused recipients, each with the answer.
    pub(super) refused: Vec<String>,
    /// Recipients that the server refused for now, each with the answer.
    pub(super) postponed: Vec<String>,
}

impl Server {
    /// # Errors
    /// Why the URL is refused, without showing it.
    pub(super) fn parse(text: &str, insecure: bool) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("the mail server's address is no URL: {error}"))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("the mail server's address has no host")?;
        if nearness(host) == Nearness::LinkLocal {
            return Err(format!("{host} is a link-local address, and no mail server"));
        }
        let (security, port) = match (url.scheme(), insecure) {
            ("smtps", _) => (Security::Tls, 465),
            ("smtp", false) => (Security::StartTls, 587),
            ("smtp", true) => (Security::None, 587),
            (scheme, _) => {
                return Err(format!("the mail server's address begins with `{scheme}:`, wanted `smtp:` or `smtps:`"));
            }
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(
                "the mail server's address ends with its port: wanted `smtp://USER:PASSWORD@HOST:587`".to_owned()
            );
        }
        let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let login = url.password().map(|password| (decoded(url.username()), decoded(password)));
        if login.is_none() && !url.username().is_empty() {
            return Err("the mail server's address has a user and no password".to_owned());
        }
        let of_login = [url.password().unwrap_or_default().to_owned(), login.clone().unwrap_or_default().1];
        let mut secrets = [vec![text.to_owned()], of_login.to_vec()].concat();
        // As `AUTH PLAIN` sends it; the mask knows the forms of `AUTH LOGIN`.
        secrets.extend(login.as_ref().map(|(user, password)| format!("\0{user}\0{password}")));
        let server = Self { host: host.to_owned(), port: url.port().unwrap_or(port), security, login, secrets };
        let address = host.trim_start_matches('[').trim_end_matches(']').parse();
        match address.ok().and_then(|address| server.objection(address)) {
            Some(why) => Err(format!("nothing is sent to {host}: {why}")),
            None => Ok(server),
        }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// `roots`: certificates beside those of the trust store, in DER.
    ///
    /// # Errors
    /// No connection, a refused login or mail, or a lost answer.
    pub(super) async fn send(
        &self,
        roots: &[Vec<u8>],
        from: Address,
        to: Vec<Address>,
        message: &[u8],
    ) -> Result<Outcome, NotSent> {
        let mut connection = self.connect(roots).await?;
        let sent = self.talk(&mut connection, from, to, message).await;
        // The result does not depend on how the connection ends.
        connection.abort().await;
        sent
    }

    async fn connect(&self, roots: &[Vec<u8>]) -> Result<AsyncSmtpConnection, NotSent> {
        let name = ClientId::default();
        let addresses = self.resolve().await?;
        let answers =
            |why: String| later(format!("{} did not answer: {}", self.host, mask::shown(&why, &self.secrets)));
        let stream = Bounded::connect(&addresses).await.map_err(|error| answers(error.to_string()))?;
        let tls = || self.tls(roots).map_err(|error| later(format!("TLS could not be set up: {}", chain(&error))));
        let stream: Box<dyn AsyncTokioStream> = match self.security {
            Security::Tls => {
                let host = self.host.trim_start_matches('[').trim_end_matches(']');
                let refused = |why: String| later(format!("{} gave no TLS connection: {why}", self.host));
                Box::new(stream.encrypted(host, roots).await.map_err(refused)?)
            }
            Security::StartTls | Security::None => Box::new(stream),
        };
        let connected = AsyncSmtpConnection::connect_with_transport(stream, &name).await;
        let mut connection = connected.map_err(|error| self.failed("did not answer", &error))?;
        if self.security == Security::StartTls {
            if !connection.can_starttls() {
                connection.abort().await;
                let why = format!("{} offers no STARTTLS: Belay sends nothing without TLS", self.host);
                return Err(refused_for_now(why));
            }
            let upgraded = connection.starttls(tls()?, &name).await;
            upgraded.map_err(|error| self.failed("gave no TLS connection", &error))?;
        }
        if let Some((user, password)) = &self.login {
            let credentials = Credentials::new(user.clone(), password.clone());
            let logged_in = connection.auth(DEFAULT_MECHANISMS, &credentials).await;
            if let Err(error) = logged_in {
                connection.abort().await;
                let why = format!("{} refused the login: {}", self.host, self.reason(&error));
                return Err(if error.is_permanent() { refused_for_now(why) } else { later(why) });
            }
        }
        Ok(connection)
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, NotSent> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let found = lookup_host((host, self.port)).await;
        let found: Vec<SocketAddr> =
            found.map_err(|error| later(format!("{} could not be resolved here: {error}", self.host)))?.collect();
        match found.iter().find_map(|address| self.objection(address.ip())) {
            Some(why) => Err(refused_for_now(format!("nothing is sent to {}: {why}", self.host))),
            None => Ok(found),
        }
    }

    /// Why nothing is sent to an address of the server.
    fn objection(&self, address: IpAddr) -> Option<String> {
        let plain = self.security == Security::None;
        let login = plain && self.login.is_some() && address_nearness(address) != Nearness::Loopback;
        let why = login.then(|| format!("{address} is another host, and a login without TLS goes to this host only"));
        refused(address, plain).or(why)
    }

    fn tls(&self, roots: &[Vec<u8>]) -> Result<TlsParameters, Error> {
        let mut builder = TlsParameters::builder(self.host.clone());
        for root in roots {
            builder = builder.add_root_certificate(Certificate::from_der(root.clone())?);
        }
        builder.build()
    }

    async fn talk(
        &self,
        connection: &mut AsyncSmtpConnection,
        from: Address,
        to: Vec<Address>,
        message: &[u8],
    ) -> Result<Outcome, NotSent> {
        let refused = |error: &Error| self.failed("refused the mail", error);
        connection.command(Mail::new(Some(from), Vec::new())).await.map_err(|error| refused(&error))?;
        let mut outcome =
            Outcome { said: String::new(), taken: Vec::new(), refused: Vec::new(), postponed: Vec::new() };
        for to in to {
            let address = to.to_string();
            match connection.command(Rcpt::new(to, Vec::new())).await {
                Ok(_) => outcome.taken.push(address),
                Err(error) if error.is_permanent() => outcome.refused.push(self.answer(&address, &error)),
                Err(error) if error.is_transient() => outcome.postponed.push(self.answer(&address, &error)),
                Err(error) => return Err(refused(&error)),
            }
        }
        if outcome.taken.is_empty() {
            return Ok(outcome);
        }
        connection.command(Data).await.map_err(|error| refused(&error))?;
        let said = connection.message(message).await.map_err(|error| refused(&error))?;
        Ok(Outcome { said: self.shown(&said), ..outcome })
    }

    /// `cto@example.com (550: no such user)`
    fn answer(&self, address: &str, error: &Error) -> String {
        format!("{address} ({})", self.reason(error))
    }

    fn failed(&self, what: &str, error: &Error) -> NotSent {
        let why = format!("{} {what}: {}", self.host, self.reason(error));
        if error.is_permanent() || error.is_client() { never(why) } else { later(why) }
    }

    fn reason(&self, error: &Error) -> String {
        mask::shown(&chain(error), &self.secrets)
    }

    /// `250 2.0.0 queued as 4F2`
    fn shown(&self, response: &Response) -> String {
        let text = response.message().collect::<Vec<_>>().join(" ");
        mask::shown(&format!("{} {text}", response.code()), &self.secrets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_url() {
        let parsed = |text: &str, insecure| {
            Server::parse(text, insecure)
                .map(|server| (server.host.clone(), server.port, server.security, server.login))
        };
        let login = Some(("belay".to_owned(), "s3:c@ret".to_owned()));
        let host = "mail.example.com".to_owned();
        let url = "smtp://belay:s3%3Ac%40ret@mail.example.com:2525";
        assert_eq!(parsed(url, false), Ok((host.clone(), 2525, Security::StartTls, login)));
        assert_eq!(parsed("smtps://mail.example.com", false), Ok((host.clone(), 465, Security::Tls, None)));
        assert_eq!(parsed("smtp://mail.example.com/", true), Ok((host, 587, Security::None, None)));
        for (text, wanted) in [
            ("smtp://belay:s3cret@10.0.0.7", "a login without TLS goes to this host only"),
            ("smtp://198.51.100.7", "a public address"),
        ] {
            let why = Server::parse(text, true).err().unwrap_or_default();
            assert!(why.contains(wanted) && !why.contains("s3cret"), "{text}: {why}");
        }
        for text in ["smtp://belay:s3cret@127.0.0.1", "smtp://belay:s3cret@[::1]:2525", "smtp://10.0.0.7"] {
            assert!(Server::parse(text, true).is_ok(), "{text}");
        }
        for (text, wanted) in [
            ("mail.example.com:587", "no host"),
            ("https://mail.example.com", "begins with `https:`"),
            ("smtp://", "no host"),
            ("smtp://169.254.169.254", "link-local"),
            ("smtp://user@mail.example.com", "a user and no password"),
            ("smtp://mail.example.com/?s3cret", "ends with its port"),
        ] {
            let why = Server::parse(text, false).err().unwrap_or_default();
            assert!(why.contains(wanted) && !why.contains("s3cret"), "{text}: {why}");
        }
    }
}
