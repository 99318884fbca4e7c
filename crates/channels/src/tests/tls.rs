//! Certificates are verified, always.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use belay_plan::notify::NoticeKind;
use belay_ports::Retry;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, crypto, pki_types::PrivateKeyDer};
use serde_json::json;
use tokio_rustls::TlsAcceptor;

use super::{
    Team,
    receiver::{Receiver, answer},
};

/// Signs certificates that the tests trust.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn root(&self) -> Vec<u8> {
        self.0.as_ref().der().to_vec()
    }

    /// A certificate and its key in PEM.
    pub(super) fn files(&self, name: &str, folder: &Path) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &*self.0).unwrap();
        let files = (folder.join("server.pem"), folder.join("server.key"));
        fs::write(&files.0, pem("CERTIFICATE", certificate.der())).unwrap();
        fs::write(&files.1, pem("PRIVATE KEY", &key.serialize_der())).unwrap();
        files
    }

    pub(super) fn acceptor(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &*self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

fn pem(what: &str, der: &[u8]) -> String {
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", STANDARD.encode(der))
}

#[tokio::test]
async fn a_notice_goes_to_nobody_without_the_right_certificate() {
    let authority = Authority::new();
    let answers = [answer("200 OK", &[], "ok")];
    let answers = [answers[0].as_str()];
    let receiver = Receiver::over(&answers, Some(authority.acceptor("localhost"))).await;
    let team = |receiver: &Receiver| {
        let url = format!("https://localhost:{}/s3cr3t-token", receiver.address.port());
        Team::new("slack", &[("url", &url)], |secret| json!({ "slack": secret("url") }))
    };
    let trusting = |team: Team, authority: &Authority| {
        let Team { channels, .. } = team;
        Team { channels: channels.trusting(&[authority.root()]), ..team }
    };
    assert_eq!(trusting(team(&receiver), &authority).tell(NoticeKind::Halted).await, Ok("200 ok".to_owned()));
    receiver.only();

    let other = Receiver::over(&answers, Some(authority.acceptor("other.test"))).await;
    for (receiver, authority) in [(&receiver, &Authority::new()), (&other, &authority)] {
        let error = trusting(team(receiver), authority).tell(NoticeKind::Halted).await.unwrap_err();
        assert_eq!(error.retry, Retry::Later { after: None });
        assert!(error.why.contains("certificate") && !error.why.contains("s3cr3t"), "{error}");
    }
    assert_eq!((receiver.received().len(), other.received().len()), (1, 0));
}
