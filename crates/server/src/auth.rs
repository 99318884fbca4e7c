//! Who asks, and what they may do. A token is known only by its SHA-256.

use std::{collections::BTreeSet, fmt};

use belay_core::input::{Asked, Authority, CommandKey};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What the bearer of a token may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads and acts.
    Operator,
    /// A plan's own role (`incident_commander`): what it asks for in `approve` and `decision.authority`.
    Named(String),
}

impl Role {
    pub fn named(name: &str) -> Self {
        match name {
            "viewer" => Self::Viewer,
            "operator" => Self::Operator,
            other => Self::Named(other.to_owned()),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Named(name) => name,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Who it was given to; goes on record with everything that is done with it.
    pub name: String,
    pub roles: Vec<Role>,
    pub sha256: TokenHash,
}

#[derive(Clone, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
        let bytes: Vec<u8> =
            digits?.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
        (text.len() == 64).then(|| bytes.try_into().ok().map(Self)).flatten()
    }

    fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl fmt::Debug for TokenHash {
    /// A hash of a weak token could be reversed, so it is not logged either.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// Who asked, as it goes on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub name: String,
    roles: Vec<Role>,
    /// Without tokens one person has every role; what asks for two is not armed then.
    has_every_role: bool,
    /// Of a request that may come again without being meant again.
    key: Option<CommandKey>,
}

impl Caller {
    /// Whoever reaches a daemon that has no tokens: it listens on loopback only.
    pub(crate) fn on_loopback() -> Self {
        Self { name: "operator@loopback".to_owned(), roles: vec![Role::Operator], has_every_role: true, key: None }
    }

    /// What goes on record with a command of theirs.
    pub(crate) fn asked(&self, reason: &str) -> Asked {
        let roles = || self.roles.iter().map(|role| role.name().to_owned()).collect();
        let authority = if self.has_every_role { Authority::Everything } else { Authority::Roles(roles()) };
        Asked { authority, key: self.key.clone(), ..Asked::new(&self.name, reason) }
    }

    /// The same, asking under a key.
    pub(crate) fn with_key(self, key: CommandKey) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Reading is for everybody who is known; acting is not.
    pub fn may_act(&self) -> bool {
        self.roles.contains(&Role::Operator)
    }

    /// Approving and deciding is for whom the plan names by role, so for everybody who has more than to look on.
    pub fn may_answer(&self) -> bool {
        self.roles.iter().any(|role| *role != Role::Viewer)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<Token>);

impl Tokens {
    pub fn new(tokens: Vec<Token>) -> Self {
        Self(tokens)
    }

    /// How many people have at least one of these roles. Somebody with two tokens under one name is one.
    pub fn people_with<R: AsRef<str>>(&self, roles: &[R]) -> usize {
        let has_one =
            |token: &&Token| token.roles.iter().any(|has| roles.iter().any(|role| has.name() == role.as_ref()));
        let names = self.0.iter().filter(has_one).map(|token| &token.name);
        names.collect::<BTreeSet<_>>().len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose token it is. Every known token is compared, each in constant time: how long it takes tells nothing.
    pub fn bearer(&self, token: &str) -> Option<Caller> {
        let asked = TokenHash::of(token);
        let mut found = None;
        for known in &self.0 {
            if bool::from(known.sha256.0.ct_eq(&asked.0)) {
                let (name, roles) = (known.name.clone(), known.roles.clone());
                found = Some(Caller { name, roles, has_every_role: false, key: None });
            }
        }
        found
    }
}
