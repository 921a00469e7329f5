//! TLS from PEM files: for the listeners, and for those who send.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Uri;
use hyper_rustls::ConfigBuilderExt as _;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::{ProtectionError, files};
use crate::Config;

/// How large a file may be: the certificates of all public authorities are 200 KB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the listeners' TLS is made of.
#[derive(Clone)]
pub(super) struct ServerFiles {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl ServerFiles {
    /// What a configuration names; `None` when that is nothing.
    ///
    /// # Errors
    /// When it names one without the other.
    pub(super) fn of(config: &Config) -> Result<Option<Self>, ProtectionError> {
        let client_ca = config.tls_client_ca.clone();
        match (&config.tls_cert, &config.tls_key) {
            (Some(cert), Some(key)) => Ok(Some(Self {
                cert: cert.clone(),
                key: key.clone(),
                client_ca,
            })),
            (Some(_), None) => Err(ProtectionError::Alone("tls-cert", "tls-key")),
            (None, Some(_)) => Err(ProtectionError::Alone("tls-key", "tls-cert")),
            (None, None) if client_ca.is_some() => {
                Err(ProtectionError::Alone("tls-client-ca", "tls-cert"))
            }
            (None, None) => Ok(None),
        }
    }

    pub(super) fn all(&self) -> Vec<PathBuf> {
        let all = [&self.cert, &self.key].into_iter().chain(&self.client_ca);
        all.cloned().collect()
    }

    pub(super) fn key(&self) -> &Path {
        &self.key
    }

    /// TLS 1.2 or newer, with HTTP/2 or HTTP/1.1 in it; client certificates are needed when there is
    /// an authority for them.
    ///
    /// # Errors
    /// When a file is not what it should be.
    pub(super) fn load(&self) -> Result<ServerConfig, ProtectionError> {
        let certificates = certificates("tls-cert", &self.cert)?;
        let bad_key = |why: &str| unusable("tls-key", &self.key, why);
        let key = PrivateKeyDer::from_pem_slice(&read("tls-key", &self.key)?)
            // The error may quote the file.
            .map_err(|_| bad_key("it has no private key in PEM without a password"))?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has the cipher suites of TLS 1.2 and 1.3");
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(roots("tls-client-ca", path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let verifier = verifier
                    .build()
                    .map_err(|error| unusable("tls-client-ca", path, &error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config =
            builder
                .with_single_cert(certificates, key)
                .map_err(|error| match error {
                    rustls::Error::InconsistentKeys(_) => {
                        bad_key("it is not the key of the certificate of --tls-cert")
                    }
                    rustls::Error::General(_) => bad_key("its kind of key is not supported"),
                    error => unusable("tls-cert", &self.cert, &error.to_string()),
                })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// What who sends to `endpoint` trusts: the authorities of a file, or else of the system.
///
/// # Errors
/// When there are none.
pub(crate) fn trusting(
    endpoint: &Uri,
    tls_ca: Option<&Path>,
) -> Result<ClientConfig, ProtectionError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of TLS 1.2 and 1.3");
    let builder = match tls_ca {
        Some(path) => builder.with_root_certificates(roots("tls-ca", path)?),
        None if endpoint.scheme_str() == Some("https") => builder
            .with_native_roots()
            .map_err(ProtectionError::NoAuthorities)?,
        None => builder.with_root_certificates(RootCertStore::empty()),
    };
    Ok(builder.with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(flag: &'static str, path: &Path) -> Result<RootCertStore, ProtectionError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(flag, path)? {
        let added = roots.add(certificate);
        added.map_err(|error| unusable(flag, path, &error.to_string()))?;
    }
    Ok(roots)
}

fn certificates(
    flag: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, ProtectionError> {
    let pem = read(flag, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(unusable(flag, path, "it has no certificate in PEM")),
    }
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, ProtectionError> {
    files::read(flag, path, FILE_BYTES_MAX)
}

fn unusable(flag: &'static str, path: &Path, why: &str) -> ProtectionError {
    ProtectionError::Tls {
        flag,
        path: path.to_owned(),
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests;
