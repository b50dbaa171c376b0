//! The messages of a gRPC answer, one after the other.

use axum::body::Body;
use axum::response::Response;
use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use tonic::{Code, Status};

/// What stands before each message: whether it is compressed, and its length.
const HEAD: usize = 5;

/// An answer that is being read.
#[derive(Debug)]
pub(super) struct Answers {
    body: Body,
    read: BytesMut,
}

impl Answers {
    /// Fails when the call was refused before there was an answer.
    pub(super) fn of(response: Response) -> Result<Self, Status> {
        check(response.headers())?;
        Ok(Self { body: response.into_body(), read: BytesMut::new() })
    }

    /// The next message; none at the end.
    ///
    /// Cancel safe: what was read is kept for the next call.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(message) = self.whole() {
                return Ok(Some(message));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|_| Status::unavailable("the answer was cut"))?;
            match frame.into_data() {
                Ok(data) => self.read.extend_from_slice(&data),
                Err(frame) => frame.into_trailers().map_or(Ok(()), |trailers| check(&trailers))?,
            }
        }
    }

    fn whole(&mut self) -> Option<Bytes> {
        let length: [u8; 4] = self.read.get(1..HEAD)?.try_into().ok()?;
        let end = HEAD + usize::try_from(u32::from_be_bytes(length)).ok()?;
        if self.read.len() < end {
            return None;
        }
        let mut message = self.read.split_to(end);
        message.advance(HEAD);
        Some(message.freeze())
    }
}

/// A message as it goes over the wire. Not compressed: it stays in this process.
pub(super) fn framed(message: &[u8], to: &mut Vec<u8>) -> Result<(), Status> {
    let length = u32::try_from(message.len());
    let length = length.map_err(|_| Status::resource_exhausted("the request is too large"))?;
    to.push(0);
    to.extend(length.to_be_bytes());
    to.extend_from_slice(message);
    Ok(())
}

fn check(headers: &HeaderMap) -> Result<(), Status> {
    match Status::from_header_map(headers) {
        Some(status) if status.code() != Code::Ok => Err(status),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn messages_are_found_however_the_bytes_are_cut() {
        let mut bytes = Vec::new();
        for message in [&b"one"[..], b"", b"three"] {
            framed(message, &mut bytes).unwrap();
        }
        for size in [1, 2, 7, 100] {
            let chunks: Vec<_> = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
            let chunks = stream::iter(chunks.into_iter().map(Ok::<_, std::convert::Infallible>));
            let mut answers = Answers::of(Response::new(Body::from_stream(chunks))).unwrap();
            let mut next = async || answers.next().await.unwrap();
            assert_eq!(next().await.as_deref(), Some(&b"one"[..]));
            assert_eq!(next().await.as_deref(), Some(&b""[..]));
            assert_eq!(next().await.as_deref(), Some(&b"three"[..]));
            assert_eq!(next().await, None);
        }
    }

    #[test]
    fn a_refusal_has_its_code_and_its_text() {
        let refused = Status::not_found("no `such` lease").into_http();
        let status = Answers::of(refused).unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::NotFound, "no `such` lease"));
    }
}
