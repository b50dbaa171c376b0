//! TLS of a client of the control plane: whom it believes, who it is.

use std::path::{Path, PathBuf};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Files of a client, in PEM; used where an address asks for TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientTls {
    /// Whose certificates servers present. Default none: those that this machine trusts.
    pub ca: Option<PathBuf>,
    /// Who the client is, for a server that asks. Default none.
    pub identity: Option<ClientIdentity>,
}

/// A client's certificate and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The certificate and those between it and its root, in this order.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
}

/// A file of certificates or keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{}` cannot be used; name a file with {what} in PEM", path.display())]
pub struct ClientTlsError {
    /// The file.
    pub path: PathBuf,
    /// What it should hold.
    pub what: &'static str,
    /// Why.
    #[source]
    pub source: Cause,
}

/// What the files hold.
#[derive(Default)]
pub(crate) struct Pems {
    pub(crate) ca: Option<Vec<u8>>,
    pub(crate) identity: Option<Identity>,
}

/// A certificate and its key.
pub(crate) struct Identity {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

const CERTIFICATES: &str = "certificates";
const KEY: &str = "the certificate's private key";

impl ClientTls {
    /// Reads the files.
    pub(crate) fn read(&self) -> Result<Pems, ClientTlsError> {
        let ca = self.ca.as_deref().map(|path| read(path, CERTIFICATES)).transpose()?;
        let identity = |of: &ClientIdentity| {
            let certificate = read(&of.certificate, CERTIFICATES)?;
            Ok(Identity { certificate, key: read(&of.key, KEY)? })
        };
        Ok(Pems { ca, identity: self.identity.as_ref().map(identity).transpose()? })
    }

    /// Adds what the files hold to an HTTP client.
    pub(crate) fn add_to(
        &self,
        mut client: reqwest::ClientBuilder,
    ) -> Result<reqwest::ClientBuilder, ClientTlsError> {
        let Pems { ca, identity } = self.read()?;
        if let (Some(path), Some(pem)) = (&self.ca, ca) {
            let unusable = |source: Cause| error(path, CERTIFICATES, source);
            let found = reqwest::Certificate::from_pem_bundle(&pem);
            let found = found.map_err(|e| unusable(e.into()))?;
            if found.is_empty() {
                return Err(unusable("there is none in it".into()));
            }
            client = found.into_iter().fold(client, reqwest::ClientBuilder::add_root_certificate);
        }
        if let (Some(of), Some(Identity { certificate, key })) = (&self.identity, identity) {
            // One text with both, a line between them.
            let pem = [&key[..], b"\n", &certificate[..]].concat();
            let identity = reqwest::Identity::from_pem(&pem);
            client =
                client.identity(identity.map_err(|source| error(&of.key, KEY, source.into()))?);
        }
        Ok(client)
    }
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, ClientTlsError> {
    std::fs::read(path).map_err(|source| error(path, what, source.into()))
}

fn error(path: &Path, what: &'static str, source: Cause) -> ClientTlsError {
    ClientTlsError { path: path.to_owned(), what, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_what_it_should_hold() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        let refused = |tls: &ClientTls| {
            tls.add_to(reqwest::Client::builder()).map(drop).unwrap_err().to_string()
        };
        let mut tls = ClientTls { ca: Some(folder.path().join("absent.pem")), identity: None };
        assert!(
            refused(&tls).contains("absent.pem` cannot be used; name a file with certificates")
        );
        tls.ca = Some(empty.clone());
        assert!(refused(&tls).contains("empty.pem` cannot be used"));
        tls.ca = None;
        tls.identity = Some(ClientIdentity { certificate: empty.clone(), key: empty });
        assert!(refused(&tls).contains("the certificate's private key"));
    }
}
