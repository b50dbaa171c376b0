//! Options for all services, and others for some.

use std::collections::BTreeMap;

use regatta_core::ServiceName;

use crate::{InvalidOptions, Options};

/// How the services that a process calls are called.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Policies {
    /// For every service without options of its own.
    pub default: Options,
    /// In place of `default`, whole, for these services.
    pub services: BTreeMap<ServiceName, Options>,
}

/// Options are out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("calls to {} cannot be made like this", .service.as_ref().map_or("other services".to_owned(), |name| format!("`{name}`")))]
pub struct InvalidPolicies {
    /// Whose options; none for the default.
    pub service: Option<ServiceName>,
    /// The first option out of range.
    #[source]
    pub source: InvalidOptions,
}

impl Policies {
    /// Options for all services.
    pub fn new(default: Options) -> Self {
        Self { default, services: BTreeMap::new() }
    }

    /// The same policies with these options for a service.
    #[must_use]
    pub fn with_service(mut self, service: ServiceName, options: Options) -> Self {
        self.services.insert(service, options);
        self
    }

    /// The options for a service.
    pub fn of(&self, service: &ServiceName) -> &Options {
        self.services.get(service).unwrap_or(&self.default)
    }

    /// Checks all options.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicies`] names the service and the first option out of range.
    pub fn validate(&self) -> Result<(), InvalidPolicies> {
        let services = self.services.iter().map(|(service, options)| (Some(service), options));
        for (service, options) in std::iter::once((None, &self.default)).chain(services) {
            options
                .validate()
                .map_err(|source| InvalidPolicies { service: service.cloned(), source })?;
        }
        Ok(())
    }
}

impl From<Options> for Policies {
    fn from(default: Options) -> Self {
        Self::new(default)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_service_without_options_of_its_own_gets_the_default() {
        let (slow, other): (ServiceName, ServiceName) =
            ("slow".parse().unwrap(), "other".parse().unwrap());
        let patient = Options { timeout: Duration::from_secs(60), ..Options::default() };
        let policies = Policies::default().with_service(slow.clone(), patient);
        assert_eq!(policies.of(&slow).timeout, Duration::from_secs(60));
        assert_eq!(policies.of(&other).timeout, Options::default().timeout);
    }

    #[test]
    fn says_whose_option_is_out_of_range() {
        let wrong = Options { timeout: Duration::ZERO, ..Options::default() };
        let of_one = Policies::default().with_service("slow".parse().unwrap(), wrong.clone());
        let error = of_one.validate().unwrap_err();
        let text = regatta_core::Chain(&error).to_string();
        assert!(text.contains("`slow`") && text.contains("timeout is `0`"), "{text}");
        let error = Policies::from(wrong).validate().unwrap_err();
        assert_eq!(error.service, None);
    }
}
