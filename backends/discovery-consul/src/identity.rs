//! Certificates: whom to believe, and who asks.

use std::path::{Path, PathBuf};

use regatta_core::Secret;

use crate::{InvalidOptions, Options};

/// The variables of Consul's own clients.
const TOKEN: &str = "CONSUL_HTTP_TOKEN";
const CA: &str = "CONSUL_CACERT";
const CERTIFICATE: &str = "CONSUL_CLIENT_CERT";
const KEY: &str = "CONSUL_CLIENT_KEY";

impl Options {
    /// The defaults, with what Consul's clients read from variables: `CONSUL_HTTP_TOKEN`,
    /// `CONSUL_CACERT`, `CONSUL_CLIENT_CERT` and `CONSUL_CLIENT_KEY`. One that is empty counts as
    /// absent.
    ///
    /// # Errors
    ///
    /// [`InvalidOptions::File`] when a file that is named cannot be read.
    pub fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, InvalidOptions> {
        let of = |name| variable(name).filter(|value| !value.is_empty());
        let file = |name| of(name).map(PathBuf::from);
        let options = Self { token: of(TOKEN).map(Secret::new), ..Self::default() };
        options.with_files(file(CA).as_deref(), file(CERTIFICATE).as_deref(), file(KEY).as_deref())
    }

    /// The same with the certificates of these files, in PEM: those to trust, the client's own, and
    /// the key of that.
    ///
    /// # Errors
    ///
    /// [`InvalidOptions::File`] when one cannot be read.
    pub fn with_files(
        mut self,
        ca: Option<&Path>,
        certificate: Option<&Path>,
        key: Option<&Path>,
    ) -> Result<Self, InvalidOptions> {
        self.ca_pem = ca.map(read).transpose()?;
        self.cert_pem = certificate.map(read).transpose()?;
        let key = key.map(read).transpose()?;
        self.key_pem = key.map(|pem| Secret::new(String::from_utf8_lossy(&pem)));
        Ok(self)
    }

    /// Adds the certificates to an HTTP client.
    pub(crate) fn add_to(
        &self,
        mut client: reqwest::ClientBuilder,
    ) -> Result<reqwest::ClientBuilder, InvalidOptions> {
        if let Some(pem) = &self.ca_pem {
            let found = reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default();
            if found.is_empty() {
                return Err(InvalidOptions::NoCertificate);
            }
            client = found.into_iter().fold(client, reqwest::ClientBuilder::add_root_certificate);
        }
        match (&self.cert_pem, &self.key_pem) {
            (None, None) => Ok(client),
            (Some(certificate), Some(key)) => {
                // One text with both, a line between them.
                let pem = [key.expose().as_bytes(), b"\n", certificate].concat();
                let identity =
                    reqwest::Identity::from_pem(&pem).map_err(InvalidOptions::Identity)?;
                Ok(client.identity(identity))
            }
            _ => Err(InvalidOptions::HalfIdentity),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, InvalidOptions> {
    std::fs::read(path).map_err(|source| InvalidOptions::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(options: &Options) -> String {
        options.add_to(reqwest::Client::builder()).map(drop).unwrap_err().to_string()
    }

    #[test]
    fn variables_of_consuls_clients_are_read_and_empty_ones_are_absent() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for name in ["ca", "cert", "key"] {
            std::fs::write(path(name), name).unwrap();
        }
        let all = Options::from_variables(|name| {
            Some(match name {
                "CONSUL_HTTP_TOKEN" => "t".to_owned(),
                "CONSUL_CACERT" => path("ca"),
                "CONSUL_CLIENT_CERT" => path("cert"),
                "CONSUL_CLIENT_KEY" => path("key"),
                _ => return None,
            })
        });
        let all = all.unwrap();
        assert_eq!((all.token, all.key_pem), (Some(Secret::new("t")), Some(Secret::new("key"))));
        assert_eq!((all.ca_pem, all.cert_pem), (Some(b"ca".to_vec()), Some(b"cert".to_vec())));
        let none = Options::from_variables(|_| Some(String::new())).unwrap();
        assert!(none.token.is_none() && none.ca_pem.is_none() && none.cert_pem.is_none());
        let absent = Options::from_variables(|_| Some(path("absent"))).unwrap_err().to_string();
        assert!(absent.contains("absent` cannot be read"), "{absent}");
    }

    #[test]
    fn certificates_that_cannot_be_used_are_told() {
        let pem = || Some(b"no PEM".to_vec());
        let ca = Options { ca_pem: pem(), ..Options::default() };
        assert!(refused(&ca).contains("CONSUL_CACERT"));
        let half = Options { cert_pem: pem(), ..Options::default() };
        assert!(refused(&half).contains("needs both"));
        let key_pem = Some(Secret::new("no PEM"));
        let broken = Options { cert_pem: pem(), key_pem, ..Options::default() };
        assert!(refused(&broken).contains("not usable"));
    }
}
