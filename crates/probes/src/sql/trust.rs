//! Whom a connection with TLS trusts.

use std::{error::Error, path::PathBuf, sync::Arc};

use belay_local::files;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{self, CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio::task::spawn_blocking;

use crate::{
    outcome::chain,
    tls::{self, Refusal},
};

/// The bundle of all regions of RDS has less than 200 KiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The certificates of a file, or those that this host trusts. Disks are read on a thread beside the loops.
///
/// # Errors
/// There is none, and why.
pub(super) async fn roots(file: Option<PathBuf>) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = move || match file {
        Some(file) => {
            let shown = file.display();
            let text =
                files::read_text(&file, FILE_BYTES_MAX).map_err(|error| format!("{shown} cannot be read: {error}"))?;
            let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.text.as_bytes()).collect();
            match found {
                Ok(found) if !found.is_empty() => Ok(found),
                _ => Err(format!("{shown} has no certificates in it (PEM)")),
            }
        }
        None => match rustls_native_certs::load_native_certs() {
            found if found.certs.is_empty() => {
                let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
                Err(format!("this host has no trust store{why}; give sslrootcert"))
            }
            found => Ok(found.certs),
        },
    };
    spawn_blocking(read).await.map_err(|_| "Belay is stopping".to_owned())?
}

/// Why there is no connection with TLS, and what cures it, if TLS is the reason.
pub(super) fn refusal(error: &(dyn Error + 'static)) -> Option<String> {
    let Refusal { why, is_of_the_service } = tls::refusal(error)?;
    let cure = if is_of_the_service { "" } else { "; `sslrootcert` in the URL names the file of the CAs to trust" };
    Some(format!("no TLS connection: {why}{cure}"))
}

/// Trusts these.
///
/// # Errors
/// Why there is no TLS.
pub(super) fn verified(roots: Vec<CertificateDer<'static>>) -> Result<ClientConfig, String> {
    let mut store = RootCertStore::empty();
    // A trust store can have a certificate that is no CA's: the others count all the same.
    let (added, _) = store.add_parsable_certificates(roots);
    if added == 0 {
        return Err("none of the certificates is one of a CA".to_owned());
    }
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    Ok(builder.map_err(|error| chain(&error))?.with_root_certificates(store).with_no_client_auth())
}

/// Encrypts, and trusts whoever answers: `sslmode=require`.
///
/// # Errors
/// Why there is no TLS.
pub(super) fn encrypted() -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| chain(&error))?.dangerous();
    Ok(builder.with_custom_certificate_verifier(Arc::new(Anybody(provider()))).with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(crypto::aws_lc_rs::default_provider())
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
