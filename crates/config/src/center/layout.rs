//! Where in the center which setting lies: pure rules.
//!
//! Under one prefix (`/config/`): `_shared/KEY` for all services, `SERVICE/KEY` for one of them,
//! `SERVICE/_instances/INSTANCE/KEY` for one instance. What begins with `_` is not a service.

/// The prefix cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{prefix}` is no prefix of keys; begin and end it with `/`, such as /config/")]
pub struct InvalidPrefix {
    /// What was given.
    pub prefix: String,
}

/// Where in the center which setting lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    prefix: String,
}

/// What a key below a service's prefix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// A setting of all its instances.
    Setting {
        /// The dotted key.
        key: &'a str,
    },
    /// A setting of one instance.
    OfInstance {
        /// The instance.
        instance: &'a str,
        /// The dotted key.
        key: &'a str,
    },
    /// The changes of a release that is under way.
    Rollout,
    /// Something else: it is left alone.
    Other,
}

impl Default for Layout {
    fn default() -> Self {
        Self { prefix: Self::PREFIX.to_owned() }
    }
}

impl Layout {
    /// The usual prefix.
    pub const PREFIX: &'static str = "/config/";
    /// What stands in a service's place for the settings of all.
    pub const SHARED: &'static str = "_shared";

    /// Under a prefix.
    ///
    /// # Errors
    ///
    /// [`InvalidPrefix`] when it does not begin and end with `/`.
    pub fn try_new(prefix: &str) -> Result<Self, InvalidPrefix> {
        let is_path = prefix.starts_with('/') && prefix.ends_with('/');
        if is_path && !prefix.contains("//") {
            return Ok(Self { prefix: prefix.to_owned() });
        }
        Err(InvalidPrefix { prefix: prefix.to_owned() })
    }

    /// The prefix.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What all settings of a service begin with; `_shared` in its place for those of all.
    pub fn service(&self, service: &str) -> String {
        format!("{}{service}/", self.prefix)
    }

    /// What the settings of all services begin with.
    pub fn shared(&self) -> String {
        self.service(Self::SHARED)
    }

    /// A setting of a service, or of one instance.
    pub fn setting(&self, service: &str, instance: Option<&str>, key: &str) -> String {
        let service = self.service(service);
        match instance {
            Some(instance) => format!("{service}_instances/{instance}/{key}"),
            None => format!("{service}{key}"),
        }
    }

    /// The changes of a release of this service that is under way.
    pub fn rollout(&self, service: &str) -> String {
        format!("{}_rollout", self.service(service))
    }

    /// What the reports of a service's instances begin with; of all services when none.
    pub fn reports(&self, service: Option<&str>) -> String {
        match service {
            Some(service) => format!("{}_reports/{service}/", self.prefix),
            None => format!("{}_reports/", self.prefix),
        }
    }

    /// The report of an instance.
    pub fn report(&self, service: &str, instance: &str) -> String {
        format!("{}{instance}", self.reports(Some(service)))
    }

    /// What the entries of the journal begin with.
    pub fn journal(&self) -> String {
        format!("{}_journal/", self.prefix)
    }

    /// What all releases begin with.
    pub fn releases(&self) -> String {
        format!("{}_releases/", self.prefix)
    }

    /// A release.
    pub fn release(&self, id: &str) -> String {
        format!("{}{id}", self.releases())
    }

    /// What a key of this service is; none when it is not below its prefix.
    pub fn place<'a>(&self, service: &str, key: &'a str) -> Option<Place<'a>> {
        let rest = key.strip_prefix(&*self.prefix)?.strip_prefix(service)?.strip_prefix('/')?;
        Some(match rest {
            "_rollout" => Place::Rollout,
            _ => match rest.strip_prefix("_instances/") {
                Some(rest) => match rest.split_once('/') {
                    Some((instance, key)) if is_dotted(key) => Place::OfInstance { instance, key },
                    _ => Place::Other,
                },
                None if is_dotted(rest) => Place::Setting { key: rest },
                None => Place::Other,
            },
        })
    }

    /// The service that a setting's key belongs to, `_shared` included; none for a key that is no
    /// setting.
    pub fn service_of<'a>(&self, key: &'a str) -> Option<&'a str> {
        let (service, _) = key.strip_prefix(&*self.prefix)?.split_once('/')?;
        (service == Self::SHARED || !service.starts_with('_')).then_some(service)
    }
}

/// Whether a text is a dotted key: no part is empty, none begins with `_`, and none has a `/`.
pub(crate) fn is_dotted(key: &str) -> bool {
    key.split('.').all(|part| !part.is_empty() && !part.starts_with('_') && !part.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_place() {
        let layout = Layout::default();
        let place = |key| layout.place("user-service", key);
        let key = "client.timeout";
        let own = layout.setting("user-service", None, key);
        assert_eq!(own, "/config/user-service/client.timeout");
        assert_eq!(place(&own), Some(Place::Setting { key }));
        let of_instance = layout.setting("user-service", Some("user-service-1"), key);
        let instance = "user-service-1";
        assert_eq!(place(&of_instance), Some(Place::OfInstance { instance, key }));
        let rollout = layout.rollout("user-service");
        assert_eq!(place(&rollout), Some(Place::Rollout));
        for other in
            ["/config/user-service/a/b", "/config/user-service/", "/config/user-service/a..b"]
        {
            assert_eq!(place(other), Some(Place::Other), "{other}");
        }
        assert_eq!(place("/config/order-service/a"), None);
        assert_eq!(place("/config/user-service-2/a"), None);
    }

    #[test]
    fn what_begins_with_an_underscore_is_no_service() {
        let layout = Layout::default();
        assert_eq!(layout.service_of("/config/_shared/a"), Some("_shared"));
        assert_eq!(layout.service_of("/config/user-service/a"), Some("user-service"));
        assert_eq!(layout.service_of("/config/_journal/1"), None);
        assert_eq!(layout.service_of("/elsewhere/a"), None);
        assert_eq!(layout.service_of("/config/a"), None);
    }

    #[test]
    fn a_prefix_is_a_path() {
        assert!(Layout::try_new("/team/config/").is_ok());
        for wrong in ["", "/", "config/", "/config", "//", "/a//b/"] {
            assert_eq!(Layout::try_new(wrong).is_ok(), wrong == "/", "{wrong}");
        }
    }
}
