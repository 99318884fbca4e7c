//! Where a database is: a URL, taken apart.

use std::{fmt, path::PathBuf};

use belay_ports::near::{Nearness, nearness};
use percent_encoding::percent_decode_str;
use reqwest::Url;

/// Parameters that drivers know and that change nothing here.
const WITHOUT_MEANING: [&str; 4] = ["application_name", "connect_timeout", "connect-timeout", "charset"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum System {
    Postgres,
    Mysql,
}

/// How the way to a database is protected.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Protection {
    None,
    /// Encrypted, with whoever is at the other end.
    Encrypted,
    /// Encrypted, with a certificate for the host by a CA of this host, or of a file.
    Verified {
        roots: Option<PathBuf>,
    },
}

/// Has no `Debug`: there is a password in it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub(super) system: System,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: Option<String>,
    pub(super) database: String,
    pub(super) protection: Protection,
}

/// Without user and password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.host, self.port, self.database)
    }
}

impl Address {
    /// # Errors
    /// What is wrong with the URL, in words that show nothing of its values.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "write postgres://USER@HOST:PORT/DATABASE or mysql://USER@HOST:PORT/DATABASE";
        let url = Url::parse(text).map_err(|error| format!("this is no URL of a database: {error}; {FORM}"))?;
        let (system, port) = match url.scheme() {
            "postgres" | "postgresql" => (System::Postgres, 5432),
            "mysql" | "mariadb" => (System::Mysql, 3306),
            _ => return Err(format!("this is no URL of PostgreSQL, MySQL or MariaDB; {FORM}")),
        };
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(|_| "the URL is not UTF-8 once it is decoded".to_owned())
        };
        let host =
            url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| format!("the URL has no host; {FORM}"))?;
        let user = decoded(url.username())?;
        if user.is_empty() {
            return Err(format!("the URL has no user; {FORM}"));
        }
        let database = decoded(url.path().trim_matches('/'))?;
        Ok(Self {
            system,
            host: decoded(host)?.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(port),
            password: url.password().map(decoded).transpose()?,
            // As psql has it.
            database: if database.is_empty() && system == System::Postgres { user.clone() } else { database },
            user,
            protection: protection(&url, host)?,
        })
    }
}

fn protection(url: &Url, host: &str) -> Result<Protection, String> {
    let (mut mode, mut roots) = (None, None);
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "sslmode" | "ssl-mode" | "ssl_mode" => mode = Some(value.to_ascii_lowercase().replace('_', "-")),
            "sslrootcert" | "ssl-ca" | "ssl_ca" => roots = Some(PathBuf::from(value.as_ref())),
            name if WITHOUT_MEANING.contains(&name) => {}
            // A name alone: its value may be a secret.
            name => {
                return Err(format!(
                    "the parameter {name:?} of the URL is not known: there are sslmode and sslrootcert"
                ));
            }
        }
    }
    if roots.as_ref().is_some_and(|roots| !roots.is_absolute()) {
        return Err("sslrootcert is an absolute path".to_owned());
    }
    match mode.as_deref() {
        None if roots.is_none() && nearness(host) == Nearness::Loopback => Ok(Protection::None),
        None | Some("verify-full" | "verify-identity") => Ok(Protection::Verified { roots }),
        Some("require" | "required") if roots.is_none() => Ok(Protection::Encrypted),
        Some("disable" | "disabled") if roots.is_none() => Ok(Protection::None),
        Some("require" | "required" | "disable" | "disabled") => {
            Err("sslrootcert needs sslmode=verify-full: the other modes look at no certificate".to_owned())
        }
        Some(_) => Err(
            "sslmode is verify-full (the default but to this host), require (encrypted, the certificate is not looked at) \
             or disable"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Address {
        Address::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn a_url_is_taken_apart() {
        let address = parse("postgres://be%40lay:p%2Fw@db.example.com/shop");
        assert_eq!(
            (address.system, address.host.as_str(), address.port, address.user.as_str(), address.database.as_str()),
            (System::Postgres, "db.example.com", 5432, "be@lay", "shop")
        );
        assert_eq!(address.password.as_deref(), Some("p/w"));
        assert_eq!(address.to_string(), "db.example.com:5432/shop");
        let address = parse("mariadb://belay@[::1]:3307/");
        assert_eq!((address.host.as_str(), address.port, address.database.as_str()), ("::1", 3307, ""));
        assert_eq!(parse("postgresql://belay@localhost").database, "belay");
    }

    #[test]
    fn the_way_is_protected_but_to_this_host() {
        let verified = |roots: Option<&str>| Protection::Verified { roots: roots.map(PathBuf::from) };
        for (text, protection) in [
            ("postgres://u@127.0.0.1/d", Protection::None),
            ("mysql://u@localhost/d", Protection::None),
            ("mysql://u@10.0.0.7/d", verified(None)),
            ("postgres://u@db.test/d?sslmode=disable", Protection::None),
            ("postgres://u@db.test/d?sslmode=require&application_name=x", Protection::Encrypted),
            ("mysql://u@db.test/d?ssl-mode=REQUIRED", Protection::Encrypted),
            ("mysql://u@db.test/d?ssl-mode=VERIFY_IDENTITY&ssl-ca=/etc/rds.pem", verified(Some("/etc/rds.pem"))),
            ("postgres://u@localhost/d?sslrootcert=/etc/rds.pem", verified(Some("/etc/rds.pem"))),
        ] {
            assert_eq!(parse(text).protection, protection, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_its_values() {
        for (text, why) in [
            ("postgres://:s3cret@db.test/d", "no user"),
            ("redis://u:s3cret@db.test/0", "no URL of PostgreSQL"),
            ("postgres:///d?user=u", "no host"),
            ("s3cret", "no URL of a database"),
            ("postgres://u@db.test/d?sslmode=s3cret", "sslmode is verify-full"),
            ("postgres://u@db.test/d?sslmode=verify-ca", "sslmode is verify-full"),
            ("postgres://u@db.test/d?passfile=s3cret", "\"passfile\""),
            ("postgres://u@db.test/d?sslrootcert=s3cret", "absolute"),
            ("postgres://u@db.test/d?sslmode=require&sslrootcert=/s3cret", "needs sslmode=verify-full"),
        ] {
            let Err(told) = Address::parse(text) else { panic!("{text}") };
            assert!(told.contains(why) && !told.contains("s3cret"), "{text}: {told}");
        }
    }
}
