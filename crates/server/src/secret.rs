//! Secrets of the configuration: a reference (`env:NAME`, `file:path`), or the thing itself. Never shown.

use std::fmt;

use belay_local::secrets::{Reference, Secrets};

/// Where a secret is; or the secret itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret as it is by now. A file takes as long as its disk does.
    ///
    /// # Errors
    /// Where it was looked for and what is wrong there, in words that tell nothing of it.
    pub async fn look_up(&self, secrets: &Secrets) -> Result<String, String> {
        match Reference::parse(&self.0) {
            Some(reference) => secrets.look_up(&reference).await,
            None => Ok(self.0.trim().to_owned()),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Reference::parse(&self.0) {
            Some(_) => f.write_str(&self.0),
            None => f.write_str("(not shown)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_is_never_shown() {
        let itself = Secret::new("https://hc.example.com/s3cret");
        assert_eq!(itself.look_up(&Secrets::default()).await.unwrap(), "https://hc.example.com/s3cret");
        assert_eq!(format!("{itself:?}"), "(not shown)");
        assert_eq!(format!("{:?}", Secret::new("env:HEARTBEAT_URL")), "env:HEARTBEAT_URL");
    }
}
