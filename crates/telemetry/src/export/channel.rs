//! The connection to the collector.

use http::uri::Scheme;
use http::{HeaderName, HeaderValue};
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::{InvalidOption, Otlp};

/// A channel that connects when it is first used, and again whenever it was lost.
pub(crate) fn connect_lazily(otlp: &Otlp) -> Result<Channel, InvalidOption> {
    let invalid = || InvalidOption::Endpoint(otlp.endpoint.clone());
    let endpoint = Endpoint::from_shared(otlp.endpoint.clone()).map_err(|_| invalid())?;
    let uri = endpoint.uri();
    let is_https = uri.scheme() == Some(&Scheme::HTTPS);
    if uri.host().is_none() || !(is_https || uri.scheme() == Some(&Scheme::HTTP)) {
        return Err(invalid());
    }
    let endpoint = endpoint.timeout(otlp.timeout).connect_timeout(otlp.timeout);
    if !is_https {
        return Ok(endpoint.connect_lazy());
    }
    let tls = match &otlp.ca_certificate {
        Some(pem) if !pem.contains("-----BEGIN CERTIFICATE-----") => {
            return Err(InvalidOption::Certificate);
        }
        Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
        None => return Err(InvalidOption::NoCertificate(otlp.endpoint.clone())),
    };
    let endpoint = endpoint.tls_config(tls).map_err(|_| InvalidOption::Certificate)?;
    Ok(endpoint.connect_lazy())
}

/// The headers of every export.
pub(crate) fn metadata(otlp: &Otlp) -> Result<MetadataMap, InvalidOption> {
    let mut headers = http::HeaderMap::with_capacity(otlp.headers.len());
    for (name, value) in &otlp.headers {
        let invalid = || InvalidOption::Header(name.clone());
        let header =
            HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).map_err(|_| invalid())?;
        let mut text = HeaderValue::from_str(value.expose()).map_err(|_| invalid())?;
        text.set_sensitive(true);
        headers.insert(header, text);
    }
    Ok(MetadataMap::from_headers(headers))
}
