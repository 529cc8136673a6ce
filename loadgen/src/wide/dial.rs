//! Opens connections to one address, with TLS where that is wanted.

use super::Unopened;
use crate::advice::Advised;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where connections go; the caller answers for the address ([`crate::check_target`]).
#[derive(Debug, Clone)]
pub struct Dial {
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
}

/// TLS that can't be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TlsError {
    /// The file of authorities is none.
    #[error("it holds no certificate that can be read: {0}")]
    Authorities(String),
    /// A name that no certificate carries.
    #[error("host {0:?} can't be in a certificate")]
    Name(String),
    /// The library refuses.
    #[error("TLS can't be set up: {0}")]
    Refused(String),
}

impl Advised for TlsError {
    fn hint(&self) -> Option<String> {
        match self {
            TlsError::Authorities(_) => Some(
                "PEM, as in -----BEGIN CERTIFICATE-----; the server's own certificate will do if it signed itself"
                    .into(),
            ),
            TlsError::Name(_) => Some("a DNS name or an address".into()),
            TlsError::Refused(_) => None,
        }
    }
}

impl Tls {
    /// Trusts these authorities (PEM) to tell who `host` is, and only them; and a server that shows
    /// one of these certificates as its own, as one does that signed itself.
    ///
    /// # Errors
    /// There is no certificate, or the name can't be in one.
    pub fn new(host: &str, authorities: &[u8]) -> Result<Tls, TlsError> {
        let certificates =
            CertificateDer::pem_slice_iter(authorities).collect::<Result<Vec<_>, _>>();
        let known = certificates.map_err(|e| TlsError::Authorities(e.to_string()))?;
        let mut roots = RootCertStore::empty();
        for certificate in &known {
            roots.add(certificate.clone()).map_err(|e| TlsError::Authorities(e.to_string()))?;
        }
        if roots.is_empty() {
            return Err(TlsError::Authorities("there is none in it".into()));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name =
            ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build();
        let verifier = Arc::new(Vouched {
            known,
            authorities: verifier.map_err(|e| TlsError::Refused(e.to_string()))?,
        });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| TlsError::Refused(e.to_string()))?;
        let config = Arc::new(
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth(),
        );
        Ok(Tls { config, name, host: bare.to_owned() })
    }

    /// The same, for a protocol that both sides must agree on.
    pub(super) fn speaking(mut self, protocol: &[u8]) -> Tls {
        Arc::make_mut(&mut self.config).alpn_protocols = vec![protocol.to_vec()];
        self
    }

    /// Secures a connection.
    pub(super) async fn secure(&self, stream: Box<dyn Io>) -> Result<Box<dyn Io>, Unopened> {
        let refused =
            |why: String| Unopened::new("TLS refused", format!("TLS with {}: {why}", self.host));
        let secured =
            TlsConnector::from(Arc::clone(&self.config)).connect(self.name.clone(), stream).await;
        let secured = secured.map_err(|e| refused(e.to_string()))?;
        let (wanted, chosen) =
            (self.config.alpn_protocols.first(), secured.get_ref().1.alpn_protocol());
        // A server that knows nothing of the choice speaks HTTP/1.1.
        if wanted.is_some_and(|w| w == b"h2" && chosen != Some(b"h2")) {
            return Err(refused("the server does not speak HTTP/2".into()));
        }
        Ok(Box::new(secured))
    }
}

/// Accepts a server that an authority vouches for, or whose certificate is itself one of those that
/// the user named.
#[derive(Debug)]
struct Vouched {
    known: Vec<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Vouched {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.known.contains(own) {
            return Ok(ServerCertVerified::assertion());
        }
        self.authorities.verify_server_cert(own, between, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("host", &self.host).finish_non_exhaustive()
    }
}

/// A connection, secured or not.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug> Io for T {}

impl Dial {
    /// A connection.
    pub(super) async fn open(&self) -> Result<Box<dyn Io>, Unopened> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            Some(tls) => tls.secure(Box::new(stream)).await,
            None => Ok(Box::new(stream)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_authority_is_said() {
        for text in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
        {
            let error = Tls::new("127.0.0.1", text.as_bytes()).expect_err("refused");
            let said = error.advice().text();
            assert!(said.contains("BEGIN CERTIFICATE"), "{said}");
        }
    }
}
