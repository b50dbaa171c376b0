//! The tower shell around a decision.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Extensions, HeaderMap};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::Rejection;

/// Decides whether a request goes on.
pub trait Guard {
    /// Lets it through, or says why not.
    ///
    /// # Errors
    ///
    /// The rejection that the caller gets.
    fn admit(&self, headers: &HeaderMap, extensions: &mut Extensions) -> Result<(), Rejection>;
}

/// A service behind a layer of this crate.
#[derive(Clone, Debug)]
pub struct Auth<S, G> {
    inner: S,
    guard: G,
}

impl<S, G> Auth<S, G> {
    pub(super) fn new(inner: S, guard: G) -> Self {
        Self { inner, guard }
    }
}

impl<S, G, RequestBody, ResponseBody> Service<http::Request<RequestBody>> for Auth<S, G>
where
    S: Service<http::Request<RequestBody>, Response = http::Response<ResponseBody>>,
    G: Guard,
    ResponseBody: Default + From<String>,
{
    type Response = http::Response<ResponseBody>;
    type Error = S::Error;
    type Future = AuthFuture<S::Future, ResponseBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<RequestBody>) -> Self::Future {
        let (headers, mut extensions) =
            (std::mem::take(request.headers_mut()), std::mem::take(request.extensions_mut()));
        let stage = match self.guard.admit(&headers, &mut extensions) {
            Ok(()) => {
                *request.headers_mut() = headers;
                *request.extensions_mut() = extensions;
                Stage::Admitted { future: self.inner.call(request) }
            }
            Err(rejection) => Stage::Rejected { response: Some(rejection.response_to(&headers)) },
        };
        AuthFuture { stage }
    }
}

pin_project! {
    /// The response of [`Auth`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct AuthFuture<F, B> {
        #[pin]
        stage: Stage<F, B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = Projection]
    enum Stage<F, B> {
        Admitted { #[pin] future: F },
        Rejected { response: Option<http::Response<B>> },
    }
}

impl<F, B, E> Future for AuthFuture<F, B>
where
    F: Future<Output = Result<http::Response<B>, E>>,
{
    type Output = Result<http::Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project().stage.project() {
            Projection::Admitted { future } => ready!(future.poll(cx)),
            Projection::Rejected { response } => {
                Ok(response.take().expect("futures are not polled after they end"))
            }
        })
    }
}
