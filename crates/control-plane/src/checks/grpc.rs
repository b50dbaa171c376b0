//! Asks gRPC's health service once.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use regatta_core::Chain;
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::lookup::Lookup;
use crate::registry::Status;

/// The largest answer that is read, in bytes; an honest one has less than ten.
const MAX_ANSWER: usize = 4096;

/// How the connection is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    Plain,
    Tls,
    /// TLS with whatever certificate.
    UnverifiedTls,
}

impl Security {
    pub(super) fn of(tls: bool, skip_verify: bool) -> Self {
        match (tls, skip_verify) {
            (false, _) => Self::Plain,
            (true, false) => Self::Tls,
            (true, true) => Self::UnverifiedTls,
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Asks servers; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Grpc {
    lookup: Lookup,
    /// Made when first needed, since the machine's certificates take milliseconds to read.
    configs: Arc<[OnceLock<Arc<ClientConfig>>; 2]>,
}

impl Grpc {
    pub(super) fn new(lookup: Lookup) -> Self {
        Self { lookup, configs: Arc::default() }
    }

    /// What `grpc.health.v1.Health/Check` says about this service; takes at most `timeout`.
    pub(super) async fn probe(
        &self,
        address: &str,
        service: &str,
        security: Security,
        timeout: Duration,
    ) -> (Status, String) {
        let found = match tokio::time::timeout(timeout, self.ask(address, service, security)).await
        {
            Ok(found) => found,
            Err(_elapsed) => Err("i/o timeout".to_owned()),
        };
        let slash = if service.is_empty() { "" } else { "/" };
        let asked = format!("gRPC check {address}{slash}{service}");
        match found {
            Ok(ServingStatus::Serving) => (Status::Passing, format!("{asked}: success")),
            Ok(other) => (Status::Critical, format!("{asked}: {}", other.as_str_name())),
            Err(why) => (Status::Critical, format!("{asked}: {why}")),
        }
    }

    async fn ask(
        &self,
        address: &str,
        service: &str,
        security: Security,
    ) -> Result<ServingStatus, String> {
        let said = |error: &dyn std::error::Error| Chain(error).to_string();
        let config = self.config(security).map_err(|error| said(&error))?;
        // The connector below does the TLS, since tonic's own always verifies.
        let endpoint = Endpoint::from_shared(format!("http://{address}"));
        let endpoint = endpoint.map_err(|error| said(&error))?;
        let (target, lookup) = (address.to_owned(), self.lookup.clone());
        let connector = tower::service_fn(move |_| {
            let (target, lookup, config) = (target.clone(), lookup.clone(), config.clone());
            async move { connect(&lookup, &target, config).await.map(TokioIo::new) }
        });
        let channel = endpoint.connect_with_connector(connector).await;
        let channel = channel.map_err(|error| said(&error))?;
        let mut client = HealthClient::new(channel).max_decoding_message_size(MAX_ANSWER);
        match client.check(HealthCheckRequest { service: service.to_owned() }).await {
            Ok(answer) => Ok(answer.into_inner().status()),
            Err(status) => Err(format!("{:?}: {}", status.code(), status.message())),
        }
    }

    fn config(&self, security: Security) -> Result<Option<Arc<ClientConfig>>, rustls::Error> {
        let (place, make): (_, fn() -> _) = match security {
            Security::Plain => return Ok(None),
            Security::Tls => (&self.configs[0], verifying),
            Security::UnverifiedTls => (&self.configs[1], unverifying),
        };
        if let Some(config) = place.get() {
            return Ok(Some(Arc::clone(config)));
        }
        let mut config: ClientConfig = make()?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Some(Arc::clone(place.get_or_init(|| Arc::new(config)))))
    }
}

async fn connect(
    lookup: &Lookup,
    address: &str,
    config: Option<Arc<ClientConfig>>,
) -> io::Result<Box<dyn Stream>> {
    let stream = lookup.connect(address).await?;
    let Some(config) = config else { return Ok(Box::new(stream)) };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    Ok(Box::new(tokio_rustls::TlsConnector::from(config).connect(name, stream).await?))
}

/// Believes what the machine's own certificates vouch for.
fn verifying() -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions()?.with_platform_verifier()?;
    Ok(builder.with_no_client_auth())
}

/// Believes everybody, for checks that ask for `TLSSkipVerify`.
fn unverifying() -> Result<ClientConfig, rustls::Error> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions()?.dangerous();
    let builder = builder.with_custom_certificate_verifier(Arc::new(Unverified(provider)));
    Ok(builder.with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Accepts any certificate; the signatures of the handshake are still checked.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_believed_unseen_only_when_asked() {
        assert_eq!(Security::of(false, true), Security::Plain);
        assert_eq!(Security::of(true, false), Security::Tls);
        assert_eq!(Security::of(true, true), Security::UnverifiedTls);
    }
}
