//! Opens connections to one address, with TLS where that is wanted.

use super::Unopened;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where connections go; the caller answers for the address ([`crate::check_target`]).
#[derive(Debug, Clone)]
pub struct Dial {
    /// The address.
    pub address: SocketAddr,
    /// What secures them, if they are secured from the beginning.
    pub tls: Option<Tls>,
}

/// Whom to trust, and whom to expect.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    host: String,
    authorities: Vec<u8>,
}

/// TLS that can't be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TlsError {
    /// The file of authorities is none.
    #[error(
        "it holds no certificate that can be read: {0}\nhint: PEM, as in -----BEGIN CERTIFICATE-----; the server's own certificate will do if it signed itself"
    )]
    Authorities(String),
    /// A name that no certificate carries.
    #[error("host {0:?} can't be in a certificate\nhint: a DNS name or an address")]
    Name(String),
    /// The library refuses.
    #[error("TLS can't be set up: {0}")]
    Refused(String),
}

impl Tls {
    /// Trusts these authorities (PEM) to tell who `host` is, and only them.
    ///
    /// # Errors
    /// There is no certificate, or the name can't be in one.
    pub fn new(host: &str, authorities: &[u8]) -> Result<Tls, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities) {
            let wrong = |e: &dyn fmt::Display| TlsError::Authorities(e.to_string());
            roots.add(certificate.map_err(|e| wrong(&e))?).map_err(|e| wrong(&e))?;
        }
        if roots.is_empty() {
            return Err(TlsError::Authorities("there is none in it".into()));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| TlsError::Refused(e.to_string()))?;
        let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
        Ok(Tls { config, name, host: bare.to_owned(), authorities: authorities.to_vec() })
    }

    /// The same, for a protocol that both sides must agree on.
    pub(super) fn speaking(mut self, protocol: &[u8]) -> Tls {
        Arc::make_mut(&mut self.config).alpn_protocols = vec![protocol.to_vec()];
        self
    }

    /// Whom to expect.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Whom to trust, PEM.
    pub(super) fn authorities(&self) -> &[u8] {
        &self.authorities
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("host", &self.host).finish_non_exhaustive()
    }
}

/// A connection, secured or not.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug {
    /// Who is at the other end.
    fn peer(&self) -> io::Result<SocketAddr>;
}

impl Io for TcpStream {
    fn peer(&self) -> io::Result<SocketAddr> {
        self.peer_addr()
    }
}

impl Io for TlsStream<TcpStream> {
    fn peer(&self) -> io::Result<SocketAddr> {
        self.get_ref().0.peer_addr()
    }
}

impl Dial {
    /// A connection.
    pub(super) async fn open(&self) -> Result<Box<dyn Io>, Unopened> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let refused = |why: String| Unopened::new("TLS refused", format!("TLS with {}: {why}", tls.host));
        let secured = TlsConnector::from(Arc::clone(&tls.config)).connect(tls.name.clone(), stream).await;
        let secured = secured.map_err(|e| refused(e.to_string()))?;
        let (wanted, chosen) = (tls.config.alpn_protocols.first(), secured.get_ref().1.alpn_protocol());
        // A server that knows nothing of the choice speaks HTTP/1.1.
        if wanted.is_some_and(|w| w == b"h2" && chosen != Some(b"h2")) {
            return Err(refused("the server does not speak HTTP/2".into()));
        }
        Ok(Box::new(secured))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_authority_is_said() {
        for text in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let error = Tls::new("127.0.0.1", text.as_bytes()).expect_err("refused");
            assert!(error.to_string().contains("BEGIN CERTIFICATE"), "{error}");
        }
    }
}
