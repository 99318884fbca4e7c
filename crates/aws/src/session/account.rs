//! Whose credentials are used: each new access key is asked about before anything is signed with it. Keys are renewed, and a
//! profile or a file may lead to another account by then.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError, future};
use aws_sdk_sts::config::{Credentials, SharedCredentialsProvider};
use belay_ports::AccountError;

use super::{Identity, judged, whoami};

/// Keys that are remembered as verified: a role gives each client its own, and renews it every hour.
const KEYS_MAX: usize = 64;

/// The access keys that were found to be of the account.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// What the client that asks whose they are has signed with last.
    asking: Mutex<Option<String>>,
    verified: Mutex<VecDeque<String>>,
}

impl Keys {
    /// The answer was that of the key that asked.
    pub(super) fn accept_asking(&self) {
        if let Some(key) = lock(&self.asking).clone() {
            self.accept(key);
        }
    }

    fn accept(&self, key: String) {
        let mut verified = lock(&self.verified);
        if !verified.contains(&key) {
            verified.truncate(KEYS_MAX - 1);
            verified.push_front(key);
        }
    }

    fn is_verified(&self, key: &str) -> bool {
        lock(&self.verified).iter().any(|verified| verified == key)
    }
}

/// A list is changed whole or not at all, so a panic elsewhere has not spoilt it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Credentials for the client that asks whose they are.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) provider: SharedCredentialsProvider,
    pub(super) keys: Arc<Keys>,
}

impl ProvideCredentials for Asking {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let credentials = self.provider.provide_credentials().await?;
            *lock(&self.keys.asking) = Some(credentials.access_key_id().to_owned());
            Ok(credentials)
        })
    }
}

/// Credentials for all other clients: those of another account are none.
#[derive(Debug)]
pub(super) struct Verifying {
    pub(super) provider: SharedCredentialsProvider,
    pub(super) keys: Arc<Keys>,
    pub(super) sts: aws_sdk_sts::Client,
    pub(super) account: String,
}

impl Verifying {
    async fn verify(&self, credentials: &Credentials) -> Result<(), AccountError> {
        let found: Identity = whoami(&self.sts, Some(credentials)).await?;
        judged(found, &self.account).map(drop)
    }
}

impl ProvideCredentials for Verifying {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let credentials = self.provider.provide_credentials().await?;
            if !self.keys.is_verified(credentials.access_key_id()) {
                self.verify(&credentials).await.map_err(CredentialsError::provider_error)?;
                self.keys.accept(credentials.access_key_id().to_owned());
            }
            Ok(credentials)
        })
    }
}
