//! The tower shell around a decision.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Extensions, HeaderMap};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{KeyRing, Rejection};

/// Decides whether a request goes on.
pub trait Guard {
    /// Lets it through, or says why not.
    ///
    /// # Errors
    ///
    /// The rejection that the caller gets.
    fn admit(&self, headers: &HeaderMap, extensions: &mut Extensions) -> Result<(), Rejection>;

    /// The keys whose renewal may turn this rejection into a pass; a request waits for them once.
    fn remedy(&self, _rejection: &Rejection) -> Option<KeyRing> {
        None
    }
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
    S: Clone + Send + 'static,
    S::Future: Send,
    G: Guard + Clone + Send + Sync + 'static,
    RequestBody: Send + 'static,
    ResponseBody: Default + From<String>,
{
    type Response = http::Response<ResponseBody>;
    type Error = S::Error;
    type Future = AuthFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<RequestBody>) -> Self::Future {
        let rejection = match admit(&self.guard, &mut request) {
            Ok(()) => return AuthFuture::new(Stage::Admitted { future: self.inner.call(request) }),
            Err(rejection) => rejection,
        };
        let Some(keys) = self.guard.remedy(&rejection) else {
            let response = Some(Ok(rejection.response_to(request.headers())));
            return AuthFuture::new(Stage::Rejected { response });
        };
        // The one that is ready goes along, a fresh one stays.
        let fresh = self.inner.clone();
        let (mut inner, guard) = (std::mem::replace(&mut self.inner, fresh), self.guard.clone());
        let future = Box::pin(async move {
            keys.renewed().await;
            match admit(&guard, &mut request) {
                Ok(()) => inner.call(request).await,
                Err(rejection) => Ok(rejection.response_to(request.headers())),
            }
        });
        AuthFuture::new(Stage::Waiting { future })
    }
}

fn admit<B>(guard: &impl Guard, request: &mut http::Request<B>) -> Result<(), Rejection> {
    // Taken out, because the guard reads the one while it writes the other.
    let headers = std::mem::take(request.headers_mut());
    let admitted = guard.admit(&headers, request.extensions_mut());
    *request.headers_mut() = headers;
    admitted
}

pin_project! {
    /// The response of [`Auth`].
    #[must_use = "futures do nothing unless polled"]
    pub struct AuthFuture<F: Future> {
        #[pin]
        stage: Stage<F>,
    }
}

pin_project! {
    #[project = Projection]
    enum Stage<F: Future> {
        Admitted { #[pin] future: F },
        Rejected { response: Option<F::Output> },
        // Rare, so it may cost an allocation.
        Waiting { future: Pin<Box<dyn Future<Output = F::Output> + Send>> },
    }
}

impl<F: Future> AuthFuture<F> {
    fn new(stage: Stage<F>) -> Self {
        Self { stage }
    }
}

impl<F: Future> std::fmt::Debug for AuthFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthFuture").finish_non_exhaustive()
    }
}

impl<F: Future> Future for AuthFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        Poll::Ready(match self.project().stage.project() {
            Projection::Admitted { future } => ready!(future.poll(cx)),
            Projection::Waiting { future } => ready!(future.as_mut().poll(cx)),
            Projection::Rejected { response } => {
                response.take().expect("futures are not polled after they end")
            }
        })
    }
}
