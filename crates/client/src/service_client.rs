//! HTTP calls to one service.

use std::sync::Arc;

use http::Method;
use regatta_core::ServiceName;

use crate::RequestBuilder;
use crate::target::Target;

/// Makes HTTP calls to one service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServiceClient {
    target: Arc<Target>,
}

impl ServiceClient {
    pub(crate) fn new(target: Arc<Target>) -> Self {
        Self { target }
    }

    /// The service it calls.
    pub fn name(&self) -> &ServiceName {
        self.target.name()
    }

    /// Starts a request with this method and path, such as `/orders/42?full=true`.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        RequestBuilder::new(Arc::clone(&self.target), method, path)
    }

    /// Starts a `GET`.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// Starts a `POST`. It is repeated after it was sent only with
    /// [`RequestBuilder::idempotency_key`].
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// Starts a `PUT`.
    pub fn put(&self, path: &str) -> RequestBuilder {
        self.request(Method::PUT, path)
    }

    /// Starts a `PATCH`. It is repeated after it was sent only with
    /// [`RequestBuilder::idempotency_key`].
    pub fn patch(&self, path: &str) -> RequestBuilder {
        self.request(Method::PATCH, path)
    }

    /// Starts a `DELETE`.
    pub fn delete(&self, path: &str) -> RequestBuilder {
        self.request(Method::DELETE, path)
    }
}
