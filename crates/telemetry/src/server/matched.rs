//! Carries the matched route from inside axum's router to what observes it from outside.

use std::cell::Cell;
use std::task::{Context, Poll};

use axum::extract::MatchedPath;
use tower_layer::Layer;
use tower_service::Service;

thread_local! {
    /// Set while a router is polled, taken right after by whoever polled it: on the same thread.
    static MATCHED: Cell<Option<MatchedPath>> = const { Cell::new(None) };
}

/// Lets a [`ServerLayer`](crate::ServerLayer) outside of an axum `Router` know the route.
///
/// Inside the router (`Router::layer`) a `ServerLayer` finds the route by itself, at the price of
/// a boxed future and a boxed body for each request. Outside it costs neither, and this layer,
/// applied inside, passes the route on.
#[derive(Clone, Copy, Debug, Default)]
pub struct RouteLayer;

/// A service that tells which route it is.
#[derive(Clone, Copy, Debug)]
pub struct NoteRoute<S> {
    inner: S,
}

/// The route that was matched since the last call on this thread.
pub(super) fn take() -> Option<MatchedPath> {
    MATCHED.take()
}

impl<S> Layer<S> for RouteLayer {
    type Service = NoteRoute<S>;

    fn layer(&self, inner: S) -> NoteRoute<S> {
        NoteRoute { inner }
    }
}

impl<S, B> Service<http::Request<B>> for NoteRoute<S>
where
    S: Service<http::Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> S::Future {
        MATCHED.set(request.extensions().get::<MatchedPath>().cloned());
        self.inner.call(request)
    }
}
