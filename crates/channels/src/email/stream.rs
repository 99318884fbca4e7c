//! The connection to a mail server. The bytes that are read have a bound, because lettre reads an answer to the end of its line.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use lettre::transport::smtp::client::AsyncTokioStream;
use rustls::{
    ClientConfig, crypto,
    pki_types::{CertificateDer, ServerName},
};
use rustls_platform_verifier::Verifier;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::http::chain;

/// The bound for a whole connection, certificates included; a usual one reads less than 10 KiB.
const INCOMING_BYTES_MAX: usize = 256 * 1024;

/// For each address of a name: one of several may not answer.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(8);

/// A stream that fails when more than its bound is read.
#[derive(Debug)]
pub(super) struct Bounded<S> {
    stream: S,
    left: usize,
    peer: SocketAddr,
}

impl Bounded<TcpStream> {
    /// The first of the addresses that answers.
    pub(super) async fn connect(addresses: &[SocketAddr]) -> io::Result<Self> {
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
        for peer in addresses {
            match timeout(CONNECT_TIME_MAX, TcpStream::connect(peer)).await {
                Ok(Ok(stream)) => return Ok(Self { stream, left: INCOMING_BYTES_MAX, peer: *peer }),
                Ok(Err(error)) => failed = error,
                Err(elapsed) => failed = elapsed.into(),
            }
        }
        Err(failed)
    }

    /// TLS from here on. `roots`: certificates beside those of the trust store, in DER.
    pub(super) async fn encrypted(self, host: &str, roots: &[Vec<u8>]) -> Result<Bounded<TlsStream<Self>>, String> {
        let peer = self.peer;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(Arc::new(config(roots).map_err(|error| chain(&error))?));
        let stream = connector.connect(name, self).await.map_err(|error| chain(&error))?;
        Ok(Bounded { stream, left: INCOMING_BYTES_MAX, peer })
    }
}

fn config(roots: &[Vec<u8>]) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let roots: Vec<CertificateDer<'static>> = roots.iter().cloned().map(CertificateDer::from).collect();
    let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider))?;
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other("the server sent more than 256 KiB")));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.left = self.left.saturating_sub(buffer.filled().len() - before);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S> AsyncTokioStream for Bounded<S>
where
    S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug,
{
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}
