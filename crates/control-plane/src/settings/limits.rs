//! Limits by their names, as operators write them and as errors name them.

use std::time::Duration;

use regatta_yaml::{nearest, parse_bytes, parse_duration};

use super::{InvalidSettings, Settings};

/// One limit, and what its value is.
enum Limit<'a> {
    Count(&'a mut usize),
    Bytes(&'a mut usize),
    Time(&'a mut Duration),
}

impl Settings {
    /// Sets a limit by its name, such as `etcd.max_leases` or `max_services`: the field's, with that
    /// of its part before it. Counts are whole numbers; sizes may have a unit, such as `64MiB`;
    /// times have one, such as `30s`. Ranges are checked by [`Settings::validate`].
    ///
    /// # Errors
    ///
    /// [`InvalidSettings::UnknownLimit`] when there is none of this name, with the nearest one;
    /// [`InvalidSettings::LimitValue`] when the value is not what it takes.
    pub fn set_limit(&mut self, name: &str, value: &str) -> Result<(), InvalidSettings> {
        let mut limits = self.limits();
        let names = limits.iter().map(|(known, _)| *known).collect::<Vec<_>>();
        let Some((_, limit)) = limits.iter_mut().find(|(known, _)| *known == name) else {
            let nearest = nearest(name, names.iter().copied());
            return Err(InvalidSettings::UnknownLimit {
                name: name.to_owned(),
                remedy: match nearest {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("the limits are {}", names.join(", ")),
                },
            });
        };
        let wrong = |wanted| InvalidSettings::LimitValue {
            name: name.to_owned(),
            value: value.to_owned(),
            wanted,
        };
        match limit {
            Limit::Count(count) => {
                **count = value.parse().map_err(|_| wrong("a whole number"))?;
            }
            Limit::Bytes(bytes) => {
                let size = parse_bytes(value).ok().and_then(|size| size.try_into().ok());
                **bytes = size.ok_or_else(|| wrong("a size such as 64MiB"))?;
            }
            Limit::Time(time) => {
                **time = parse_duration(value).map_err(|_| wrong("a time such as 30s"))?;
            }
        }
        Ok(())
    }

    fn limits(&mut self) -> [(&'static str, Limit<'_>); 28] {
        use Limit::{Bytes, Count, Time};
        let Self { kv, etcd, dns, .. } = self;
        [
            ("max_connections", Count(&mut self.max_connections)),
            ("max_blocked_queries", Count(&mut self.max_blocked_queries)),
            ("max_body_bytes", Bytes(&mut self.max_body_bytes)),
            ("header_read_timeout", Time(&mut self.header_read_timeout)),
            ("body_read_timeout", Time(&mut self.body_read_timeout)),
            ("idle_timeout", Time(&mut self.idle_timeout)),
            ("max_running_checks", Count(&mut self.max_running_checks)),
            ("max_services", Count(&mut self.max_services)),
            ("max_nodes", Count(&mut self.max_nodes)),
            ("registry_quota_bytes", Bytes(&mut self.registry_quota_bytes)),
            ("min_deregister_after", Time(&mut self.min_deregister_after)),
            ("drain_timeout", Time(&mut self.drain_timeout)),
            ("kv.max_value_bytes", Bytes(&mut kv.max_value_bytes)),
            ("kv.max_key_bytes", Bytes(&mut kv.max_key_bytes)),
            ("kv.max_txn_operations", Count(&mut kv.max_txn_operations)),
            ("kv.max_sessions", Count(&mut kv.max_sessions)),
            ("kv.quota_bytes", Bytes(&mut kv.quota_bytes)),
            ("etcd.max_connections", Count(&mut etcd.max_connections)),
            ("etcd.max_request_bytes", Bytes(&mut etcd.max_request_bytes)),
            ("etcd.max_txn_operations", Count(&mut etcd.max_txn_operations)),
            ("etcd.max_leases", Count(&mut etcd.max_leases)),
            ("etcd.max_watchers", Count(&mut etcd.max_watchers)),
            ("etcd.progress_interval", Time(&mut etcd.progress_interval)),
            ("etcd.history", Time(&mut etcd.history)),
            ("etcd.max_history_bytes", Bytes(&mut etcd.max_history_bytes)),
            ("etcd.quota_bytes", Bytes(&mut etcd.quota_bytes)),
            ("dns.max_connections", Count(&mut dns.max_connections)),
            ("dns.idle_timeout", Time(&mut dns.idle_timeout)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_set_by_its_name() {
        let mut settings = Settings::default();
        for (name, value) in [
            ("max_blocked_queries", "10"),
            ("max_body_bytes", "2MiB"),
            ("etcd.max_leases", "5"),
            ("etcd.history", "2h"),
            ("kv.quota_bytes", "1000"),
        ] {
            settings.set_limit(name, value).unwrap();
        }
        assert_eq!((settings.max_blocked_queries, settings.max_body_bytes), (10, 2 << 20));
        assert_eq!((settings.etcd.max_leases, settings.kv.quota_bytes), (5, 1000));
        assert_eq!(settings.etcd.history, Duration::from_secs(7200));
    }

    #[test]
    fn every_limit_takes_its_own_default() {
        let mut settings = Settings::default();
        let names: Vec<_> = settings.limits().iter().map(|(name, _)| *name).collect();
        for name in names {
            let value =
                settings.limits().iter().find(|(known, _)| *known == name).map(|(_, limit)| {
                    match limit {
                        Limit::Count(number) | Limit::Bytes(number) => number.to_string(),
                        Limit::Time(time) => regatta_yaml::format_duration(**time),
                    }
                });
            settings.set_limit(name, &value.unwrap()).unwrap();
        }
        settings.validate().unwrap();
        assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
    }

    #[test]
    fn what_is_no_limit_or_no_value_of_it_is_named_with_a_remedy() {
        let problem =
            |name, value| Settings::default().set_limit(name, value).unwrap_err().to_string();
        assert_eq!(
            problem("etcd.max_lease", "1"),
            "`etcd.max_lease` is no limit; did you mean `etcd.max_leases`?"
        );
        assert!(problem("other", "1").contains("the limits are max_connections, "));
        assert_eq!(
            problem("etcd.max_leases", "-1"),
            "etcd.max_leases is `-1`; write a whole number"
        );
        assert!(problem("etcd.quota_bytes", "1 GiBi").contains("a size such as 64MiB"));
        assert!(problem("etcd.history", "60").contains("a time such as 30s"));
        let mut zero = Settings::default();
        zero.set_limit("etcd.max_leases", "0").unwrap();
        let zero = zero.validate().unwrap_err().to_string();
        assert_eq!(zero, "etcd.max_leases is 0; set it to 1 or more");
    }
}
