//! TLS of both listeners; certificates are read anew when their files change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// Where the certificates are, in PEM. Read again within 1 s when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsSettings {
    /// The server's certificate and those between it and its root, in this order.
    pub certificate: PathBuf,
    /// The certificate's private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
    /// Whose certificates clients must present. Default none: clients present none.
    pub client_ca: Option<PathBuf>,
}

/// The certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read `{}`; check that it is there and readable", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file has nothing of what is needed.
    #[error("`{}` has no {what} in PEM; write one that begins with `-----BEGIN`", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// They do not fit together, or are of a kind that is not supported.
    #[error(
        "the certificate `{}` cannot be used; check that the key is its own and both are whole",
        path.display()
    )]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl TlsSettings {
    /// A certificate and its key; clients present none.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: key.into(), client_ca: None }
    }
}

/// What new connections are accepted with; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Tls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: TlsSettings,
    loaded: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    /// Of the files, to know whether they are others.
    sum: Vec<u8>,
}

impl Tls {
    /// Reads the files; for threads that may wait.
    pub(crate) fn load(settings: TlsSettings) -> Result<Self, TlsError> {
        let files = Files::read(&settings)?;
        let loaded = ArcSwap::from_pointee(files.load(&settings)?);
        Ok(Self(Arc::new(Inner { settings, loaded })))
    }

    /// Reads the files again. Says whether they have changed; what was loaded stays when they
    /// cannot be used.
    pub(crate) fn reload(&self) -> Result<bool, TlsError> {
        let files = Files::read(&self.0.settings)?;
        if files.sum() == self.0.loaded.load().sum {
            return Ok(false);
        }
        self.0.loaded.store(Arc::new(files.load(&self.0.settings)?));
        Ok(true)
    }

    /// For the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.loaded.load().config))
    }
}

/// The files' content.
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Files {
    fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
        };
        Ok(Self {
            certificate: read(&settings.certificate)?,
            key: read(&settings.key)?,
            client_ca: settings.client_ca.as_deref().map(read).transpose()?,
        })
    }

    fn sum(&self) -> Vec<u8> {
        let mut sum = Vec::new();
        let client_ca = self.client_ca.as_deref().unwrap_or_default();
        for file in [&*self.certificate, &*self.key, client_ca] {
            sum.extend(digest::digest(&digest::SHA256, file).as_ref());
        }
        sum
    }

    fn load(&self, settings: &TlsSettings) -> Result<Loaded, TlsError> {
        let chain = certificates(&self.certificate, &settings.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key);
        let key =
            key.map_err(|_| TlsError::Empty { path: settings.key.clone(), what: "private key" })?;
        let unusable = |source: Box<dyn std::error::Error + Send + Sync>| TlsError::Unusable {
            path: settings.certificate.clone(),
            source,
        };
        // Named, not installed: a process may have no provider, and must not have two.
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.into()))?;
        let builder = match (&self.client_ca, &settings.client_ca) {
            (Some(pem), Some(path)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(pem, path)? {
                    roots.add(certificate).map_err(|error| TlsError::Unusable {
                        path: path.clone(),
                        source: error.into(),
                    })?;
                }
                let roots = Arc::new(roots);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|e| unusable(e.into()))?)
            }
            _ => builder.with_no_client_auth(),
        };
        let config = builder.with_single_cert(chain, key);
        let mut config = config.map_err(|error| unusable(error.into()))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Loaded { config: Arc::new(config), sum: self.sum() })
    }
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = read.unwrap_or_default();
    match found.is_empty() {
        true => Err(TlsError::Empty { path: path.to_owned(), what: "certificate" }),
        false => Ok(found),
    }
}
