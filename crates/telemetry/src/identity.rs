//! Who emits: the resource of every span, metric and log line.

/// The process that emits, as OpenTelemetry's resource attributes name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `service.name`, such as `user-service`.
    pub service: String,
    /// `service.version`; empty leaves it out.
    pub version: String,
    /// `service.instance.id`; empty leaves it out.
    pub instance: String,
}

impl Identity {
    /// A service without a version or an instance id.
    pub fn new(service: impl Into<String>) -> Self {
        Self { service: service.into(), version: String::new(), instance: String::new() }
    }

    /// The same service with its version.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// The same service with its instance id.
    #[must_use]
    pub fn with_instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = instance.into();
        self
    }
}
