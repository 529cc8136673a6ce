//! The run's own certificate authority. It issues the certificates of the stand-ins, and of servers
//! that are declared so; clients inside the stack trust it through `SSL_CERT_FILE`, and the harness
//! by its file in the run's folder. Its key never leaves the process and ends with it.

use crate::process::exit::Exit;
use crate::process::failure::UserError;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A host name that no certificate can carry.
    #[error("certificate for {names:?}: {source}")]
    Names {
        /// Names asked for.
        names: Vec<String>,
        /// What is wrong.
        source: rcgen::Error,
    },
    /// Making a key or a signature failed.
    #[error("certificate authority of the run: {0}")]
    Crypto(#[from] rcgen::Error),
}

impl UserError for AuthorityError {
    fn exit(&self) -> Exit {
        Exit::Defect
    }

    fn hints(&self) -> Vec<String> {
        match self {
            AuthorityError::Names { .. } => {
                vec!["a stand-in's `host` must be a DNS name in ASCII".into()]
            }
            AuthorityError::Crypto(_) => Vec::new(),
        }
    }
}

/// A certificate with its key, both as PEM.
#[derive(Clone)]
pub struct Issued {
    /// Certificate, followed by the authority's own.
    pub cert_pem: String,
    /// Private key, PKCS #8.
    pub key_pem: String,
}

/// A certificate authority made for one run.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a new authority with a key of its own.
    pub fn new() -> Result<Authority, AuthorityError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = name("firedrill run authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        lifetime(&mut params);
        Ok(Authority { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// The authority's certificate as PEM, for the clients' trust store.
    pub fn ca_pem(&self) -> String {
        self.issuer.pem()
    }

    /// Issues one server certificate for all of `names`.
    pub fn issue<S: AsRef<str>>(&self, names: &[S]) -> Result<Issued, AuthorityError> {
        let names: Vec<String> = names.iter().map(|n| n.as_ref().to_owned()).collect();
        let mut params = CertificateParams::new(names.clone())
            .map_err(|source| AuthorityError::Names { names: names.clone(), source })?;
        params.distinguished_name = name(names.first().map_or("firedrill", String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        lifetime(&mut params);
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            cert_pem: format!("{}{}", cert.pem(), self.ca_pem()),
            key_pem: key.serialize_pem(),
        })
    }
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

/// Valid whatever a drill does to the clocks: the authority ends with the run, not with a date.
fn lifetime(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2099, 12, 31);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use std::sync::Arc;

    #[test]
    fn issues_what_a_client_accepts_for_the_names_and_no_other() {
        let authority = Authority::new().unwrap();
        let issued = authority.issue(&["hooks.slack.com", "webhook.test"]).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.ca_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let chain: Vec<_> = CertificateDer::pem_slice_iter(issued.cert_pem.as_bytes())
            .map(Result::unwrap)
            .collect();
        let verify = |host: &'static str| {
            verifier.verify_server_cert(
                &chain[0],
                &chain[1..],
                &ServerName::try_from(host).unwrap(),
                &[],
                UnixTime::now(),
            )
        };
        verify("hooks.slack.com").unwrap();
        verify("webhook.test").unwrap();
        assert!(verify("api.opsgenie.com").is_err());
    }

    #[test]
    fn refuses_a_name_that_no_certificate_can_carry() {
        let error = Authority::new().unwrap().issue(&["höst.test"]).err().unwrap();
        assert!(error.to_string().contains("höst.test") && error.hints().len() == 1, "{error}");
    }
}
