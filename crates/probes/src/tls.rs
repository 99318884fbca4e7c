//! TLS as visitors speak it: certificates are verified against the trust store of this host, always.

use std::{
    error::Error,
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use belay_plan::shape::{Field, field, pattern};
use jiff::{Timestamp, tz::TimeZone};
use rustls::{
    CertificateError, ClientConfig, crypto,
    pki_types::{CertificateDer, UnixTime},
};
use rustls_platform_verifier::Verifier;
use serde::{Deserialize, Deserializer};
use x509_cert::der::Decode;

use crate::outcome::chain;

const DAY_S: i64 = 86_400;

/// What all probes with TLS share. The trust store is read at first use.
#[derive(Default)]
pub(crate) struct Tls {
    /// Beside those of the trust store.
    roots: Vec<CertificateDer<'static>>,
    config: OnceLock<Result<ClientConfig, String>>,
}

impl Tls {
    #[cfg(test)]
    pub(crate) fn trusting(roots: Vec<CertificateDer<'static>>) -> Self {
        Self { roots, config: OnceLock::new() }
    }

    /// Or why there is no TLS on this host.
    pub(crate) fn config(&self) -> Result<ClientConfig, String> {
        let make = || {
            let provider = Arc::new(crypto::aws_lc_rs::default_provider());
            let verifier = Verifier::new_with_extra_roots(self.roots.clone(), Arc::clone(&provider))?;
            let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
            Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
        };
        let config = self.config.get_or_init(|| make().map_err(|error: rustls::Error| chain(&error)));
        config.clone().map_err(|why| format!("TLS could not be set up: {why}"))
    }
}

/// The key `certificate_days_left`.
pub(crate) fn days_left_field() -> Field {
    field(
        "certificate_days_left",
        pattern("a comparison such as `>= 14`", "^>= ?[0-9]{1,5}$"),
        "For how many days the certificate has to be valid still.",
    )
    .optional()
}

/// For how many days a certificate has to be valid still: `>= 14`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DaysLeft(i64);

impl<'de> Deserialize<'de> for DaysLeft {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let days = text.strip_prefix(">=").and_then(|days| days.trim().parse().ok());
        days.map(Self).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a comparison such as `>= 14`")))
    }
}

/// A certificate that was found valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Certificate {
    not_after: Timestamp,
}

impl Certificate {
    /// None for what cannot be read; the handshake has verified it all the same.
    pub(crate) fn of(der: &[u8]) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(der).ok()?;
        let not_after = certificate.tbs_certificate().validity().not_after.to_unix_duration();
        Some(Self { not_after: Timestamp::from_second(i64::try_from(not_after.as_secs()).ok()?).ok()? })
    }

    fn days_left(&self, now: Timestamp) -> i64 {
        (self.not_after.as_second() - now.as_second()).div_euclid(DAY_S)
    }

    /// `valid until 2026-04-13 (43 days)`
    pub(crate) fn told(&self, now: Timestamp) -> String {
        format!("valid until {} ({} days)", date(self.not_after), self.days_left(now))
    }
}

/// What is wrong with a certificate that is asked to be valid for some days still, or what there is to say of it.
pub(crate) fn judge(
    certificate: Option<Certificate>,
    wanted: Option<DaysLeft>,
    now: Timestamp,
) -> Result<Option<String>, String> {
    match (certificate, wanted) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err("its certificate does not tell until when it is valid".to_owned()),
        (Some(certificate), Some(DaysLeft(days))) if certificate.days_left(now) < days => {
            Err(format!("its certificate is {}, wanted at least {days} days", certificate.told(now)))
        }
        (Some(certificate), _) => Ok(Some(format!("its certificate is {}", certificate.told(now)))),
    }
}

/// Why there is no TLS connection.
pub(crate) struct Refusal {
    pub(crate) why: String,
    /// Whether every visitor sees the same, whatever their trust store and clock say: that is evidence about the service.
    pub(crate) is_of_the_service: bool,
}

/// Why a connection failed, if TLS is the reason.
pub(crate) fn refusal(error: &(dyn Error + 'static)) -> Option<Refusal> {
    let error = tls_error(error)?;
    let rustls::Error::InvalidCertificate(verdict) = error else {
        return Some(Refusal { why: chain(error), is_of_the_service: false });
    };
    let is_of_the_service = matches!(
        verdict,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidForName
            | CertificateError::NotValidForNameContext { .. }
            | CertificateError::Revoked
    );
    Some(Refusal { why: told(verdict), is_of_the_service })
}

fn told(verdict: &CertificateError) -> String {
    match verdict {
        CertificateError::Expired => "its certificate has expired".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("its certificate has expired on {}", unix_date(*not_after))
        }
        CertificateError::NotValidYet => "its certificate is not valid yet, by the clock of this host".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("its certificate is valid from {} on, by the clock of this host not yet", unix_date(*not_before))
        }
        CertificateError::NotValidForName => "its certificate is for another name".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented = presented.iter().map(|name| plain_name(name)).collect::<Vec<_>>().join(", ");
            format!("its certificate is for {presented}, not for {}", expected.to_str())
        }
        CertificateError::Revoked => "its certificate has been revoked".to_owned(),
        CertificateError::UnknownIssuer => {
            "this host does not trust the issuer of its certificate (self-signed, or the chain is incomplete, or the CA is \
             not in the trust store here)"
                .to_owned()
        }
        other => format!("its certificate was refused: {other}"),
    }
}

/// `DnsName("shop.example.com")` is how a name comes out of the certificate.
fn plain_name(name: &str) -> &str {
    name.split('"').nth(1).unwrap_or(name)
}

fn unix_date(time: UnixTime) -> String {
    let time = Timestamp::from_duration(
        jiff::SignedDuration::try_from(Duration::from_secs(time.as_secs())).unwrap_or_default(),
    );
    time.map_or_else(|_| "a day out of range".to_owned(), date)
}

fn date(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).date().to_string()
}

/// The TLS error at the bottom of a failure; an `io::Error` hides what it wraps from `source`.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error
        .downcast_ref::<rustls::Error>()
        .or_else(|| wrapped.and_then(|inner| tls_error(inner)))
        .or_else(|| error.source().and_then(tls_error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(error: CertificateError) -> (bool, String) {
        let refusal = refusal(&rustls::Error::InvalidCertificate(error)).unwrap();
        (refusal.is_of_the_service, refusal.why)
    }

    #[test]
    fn only_a_verdict_that_every_visitor_shares_speaks_against_the_service() {
        assert!(verdict(CertificateError::Expired).0);
        assert!(verdict(CertificateError::NotValidForName).0);
        assert!(!verdict(CertificateError::UnknownIssuer).0);
        // The clock of this host may be wrong.
        assert!(!verdict(CertificateError::NotValidYet).0);
    }

    #[test]
    fn verdicts_are_told_plainly() {
        let second = |second| UnixTime::since_unix_epoch(Duration::from_secs(second));
        let expired =
            CertificateError::ExpiredContext { time: second(1_800_000_000), not_after: second(1_700_000_000) };
        assert_eq!(verdict(expired), (true, "its certificate has expired on 2023-11-14".to_owned()));
        let other = CertificateError::NotValidForNameContext {
            expected: "shop.example.com".try_into().unwrap(),
            presented: vec!["DnsName(\"old.example.com\")".to_owned(), "DnsName(\"www.example.com\")".to_owned()],
        };
        let told = "its certificate is for old.example.com, www.example.com, not for shop.example.com";
        assert_eq!(verdict(other), (true, told.to_owned()));
    }

    #[test]
    fn a_tls_error_is_found_inside_of_io_errors() {
        let bottom = rustls::Error::InvalidCertificate(CertificateError::Expired);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, bottom.clone()));
        assert_eq!(tls_error(&wrapped), Some(&bottom));
        assert_eq!(tls_error(&io::Error::other("something else")), None);
    }

    #[test]
    fn the_days_that_are_left_are_whole_ones() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let certificate = Certificate { not_after: at("2026-04-13T12:00:00Z") };
        let judged = |days, now: &str| judge(Some(certificate), Some(DaysLeft(days)), at(now));
        let told = "its certificate is valid until 2026-04-13 (14 days)";
        assert_eq!(judged(14, "2026-03-30T12:00:00Z"), Ok(Some(told.to_owned())));
        let short = "its certificate is valid until 2026-04-13 (13 days), wanted at least 14 days";
        assert_eq!(judged(14, "2026-03-30T12:00:01Z"), Err(short.to_owned()));
    }
}
