//! The header fields a proxy acts on, told apart in one comparison each.

/// A header field a proxy acts on; every other is passed on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Authorization,
    Connection,
    ContentLength,
    ContentType,
    /// When an answer was made (RFC 9110, section 6.6.1).
    Date,
    Expect,
    Forwarded,
    GrpcTimeout,
    Host,
    EnvoyTimeout,
    ForwardedFor,
    ForwardedHost,
    ForwardedProto,
    Traceparent,
    Tracestate,
    /// Which attempt this is of a caller's (Envoy); a client of ours is not believed.
    AttemptCount,
    TransferEncoding,
    Upgrade,
    ClientId,
    RequestId,
    IdempotencyKey,
    /// How urgent a request is (RFC 9218).
    Priority,
    /// What a limiter says about the caller's limit; the gateway's own stands for it.
    RateLimit,
    /// Hop-by-hop whether or not `Connection` names it (RFC 9110, section 7.6.1).
    HopByHop,
    /// What only the gateway may say about a caller, in any spelling an upstream could read so.
    Identity,
    /// A framing field with `_` for `-`, which some servers read as the real one.
    Disguised,
    Other,
}

/// Tells which field a name means, whatever its case.
pub(crate) fn classify(name: &[u8]) -> Name {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    let found = match name.len() {
        2 if is("te") => Name::HopByHop,
        4 if is("host") => Name::Host,
        4 if is("date") => Name::Date,
        6 if is("expect") => Name::Expect,
        7 if is("upgrade") => Name::Upgrade,
        7 if is("trailer") => Name::HopByHop,
        8 if is("priority") => Name::Priority,
        9 if is("forwarded") => Name::Forwarded,
        9 if is("ratelimit") => Name::RateLimit,
        10 if is("connection") => Name::Connection,
        10 if is("keep-alive") => Name::HopByHop,
        10 if is("tracestate") => Name::Tracestate,
        11 if is("traceparent") => Name::Traceparent,
        11 if is("x-client-id") => Name::ClientId,
        12 if is("content-type") => Name::ContentType,
        12 if is("x-request-id") => Name::RequestId,
        12 if is("grpc-timeout") => Name::GrpcTimeout,
        13 if is("authorization") => Name::Authorization,
        14 if is("content-length") => Name::ContentLength,
        15 if is("idempotency-key") => Name::IdempotencyKey,
        15 if is("x-forwarded-for") => Name::ForwardedFor,
        16 if is("x-forwarded-host") => Name::ForwardedHost,
        16 if is("proxy-connection") => Name::HopByHop,
        16 if is("ratelimit-policy") => Name::RateLimit,
        17 if is("transfer-encoding") => Name::TransferEncoding,
        17 if is("x-forwarded-proto") => Name::ForwardedProto,
        17 if is("x-ratelimit-limit") || is("x-ratelimit-reset") => Name::RateLimit,
        18 if is("proxy-authenticate") => Name::HopByHop,
        19 if is("proxy-authorization") => Name::HopByHop,
        21 if is("x-ratelimit-remaining") => Name::RateLimit,
        21 if is("x-envoy-attempt-count") => Name::AttemptCount,
        30 if is("x-envoy-expected-rq-timeout-ms") => Name::EnvoyTimeout,
        _ => Name::Other,
    };
    if found != Name::Other {
        return found;
    }
    match name.len() {
        9 if reads_as(name, b"x-user-id") => Name::Identity,
        12 if reads_as(name, b"x-user-roles") => Name::Identity,
        14 if reads_as(name, b"content-length") => Name::Disguised,
        17 if reads_as(name, b"transfer-encoding") => Name::Disguised,
        _ => Name::Other,
    }
}

/// Whether a server that takes `_` for `-`, as CGI and its heirs do, reads `name` as `known`.
fn reads_as(name: &[u8], known: &[u8]) -> bool {
    name.len() == known.len()
        && name.iter().zip(known).all(|(byte, known)| {
            byte.eq_ignore_ascii_case(known) || (*byte == b'_' && *known == b'-')
        })
}

impl Name {
    /// Whether such a field is hop-by-hop by itself, in requests and responses of any version.
    pub(crate) fn is_hop_by_hop(self) -> bool {
        matches!(self, Self::HopByHop | Self::Connection | Self::Upgrade | Self::TransferEncoding)
    }
}

/// Whether a field is hop-by-hop by itself.
pub(crate) fn is_hop_by_hop(name: &[u8]) -> bool {
    classify(name).is_hop_by_hop()
}

/// The tokens of a comma-separated list, without the spaces around them and without empty ones.
pub(crate) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_case_of_a_name_does_not_matter() {
        assert_eq!(classify(b"Host"), Name::Host);
        assert_eq!(classify(b"TRANSFER-ENCODING"), Name::TransferEncoding);
        assert_eq!(classify(b"x-Envoy-Expected-Rq-Timeout-Ms"), Name::EnvoyTimeout);
        assert_eq!(classify(b"accept"), Name::Other);
        assert_eq!(classify(b"hosts"), Name::Other);
    }

    #[test]
    fn what_an_upstream_could_read_as_identity_is_identity() {
        for name in ["x-user-id", "X_USER_ID", "x_user-id", "X-User-Roles", "x-user_roles"] {
            assert_eq!(classify(name.as_bytes()), Name::Identity, "{name}");
        }
        assert_eq!(classify(b"x-user-ip"), Name::Other);
        assert_eq!(classify(b"Content_Length"), Name::Disguised);
        assert_eq!(classify(b"transfer_encoding"), Name::Disguised);
    }

    #[test]
    fn hop_by_hop_fields_are_known_without_being_named() {
        for name in [
            "Connection",
            "Keep-Alive",
            "Proxy-Connection",
            "TE",
            "Trailer",
            "Upgrade",
            "Transfer-Encoding",
            "Proxy-Authenticate",
            "Proxy-Authorization",
        ] {
            assert!(is_hop_by_hop(name.as_bytes()), "{name}");
        }
        assert!(!is_hop_by_hop(b"Content-Type"));
    }

    #[test]
    fn empty_list_elements_are_skipped() {
        let found: Vec<_> = tokens(b" close, ,\tX-One ,").collect();
        assert_eq!(found, [&b"close"[..], b"X-One"]);
    }
}
