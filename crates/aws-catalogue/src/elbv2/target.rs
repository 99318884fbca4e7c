//! One target of a target group.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

/// What tells the targets of a group apart: one instance may be there with several ports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    pub id: String,
    /// None: the group's own. A Lambda function has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// How a target is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    #[serde(flatten)]
    pub address: Address,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quic_server_id: Option<String>,
}

/// The kinds of targets; a group takes one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Instance,
    Ip,
    Lambda,
    Alb,
}

impl Kind {
    pub fn of(id: &str) -> Self {
        match id {
            id if id.starts_with("i-") => Self::Instance,
            id if id.contains(":lambda:") => Self::Lambda,
            id if id.starts_with("arn:") => Self::Alb,
            _ => Self::Ip,
        }
    }

    /// As the API has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Ip => "ip",
            Self::Lambda => "lambda",
            Self::Alb => "alb",
        }
    }

    /// Whether a group holds a single target of the kind.
    pub fn is_alone(self) -> bool {
        matches!(self, Self::Lambda | Self::Alb)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Instance => "an instance",
            Self::Ip => "an IP address",
            Self::Lambda => "a Lambda function",
            Self::Alb => "an application load balancer",
        })
    }
}

/// `i-0abc:8080`, `[2001:db8::7]:80`, `function:checkout`
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.as_str();
        match Kind::of(id) {
            Kind::Ip if id.contains(':') => write!(f, "[{id}]")?,
            Kind::Instance | Kind::Ip => f.write_str(id)?,
            Kind::Lambda => f.write_str(id.find("function:").map_or(id, |start| &id[start..]))?,
            Kind::Alb => f.write_str(id.find("loadbalancer/").map_or(id, |start| &id[start..]))?,
        }
        self.port.iter().try_for_each(|port| write!(f, ":{port}"))
    }
}

impl Address {
    /// An IPv6 address has many forms: `2001:DB8:0::7` is `2001:db8::7`.
    pub fn canonical(self) -> Self {
        let id = self.id.parse::<IpAddr>().map_or(self.id, |address| address.to_string());
        Self { id, ..self }
    }
}
