//! Settings of calls to single services, by the service's name.

use std::collections::BTreeMap;

use regatta_config::{Data, Problem, Setting, Value};
use regatta_core::ServiceName;

use super::ServiceCallSettings;

/// Settings of calls to single services, by the service's name.
#[derive(Clone, Debug, Default)]
pub struct ServicesSettings(pub BTreeMap<ServiceName, ServiceCallSettings>);

impl Setting for ServicesSettings {
    fn kind() -> String {
        "a map, each value settings as in `client`".to_owned()
    }

    fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        let entries = match &value.data {
            Data::Map(entries) => entries.as_slice(),
            Data::Null => &[],
            _ => {
                let (kind, found) = (Self::kind(), value.found());
                let message =
                    format!("expected {kind}, found {found}; write {{user-service: {{}}}}");
                return Err(vec![Problem::wrong_type(&value.origin, message)]);
            }
        };
        let mut services: BTreeMap<ServiceName, Value> = BTreeMap::new();
        let mut problems = Vec::new();
        for entry in entries {
            // A variable's name has no `-`, a service's no `_`: CLIENT__SERVICES__USER_SERVICE.
            match ServiceName::try_new(&entry.key.replace('_', "-")) {
                // Variables come after the file's keys, and lie above them.
                Ok(name) => match services.get_mut(&name) {
                    Some(below) => below.overlay(entry.value.clone()),
                    None => drop(services.insert(name, entry.value.clone())),
                },
                Err(error) => {
                    let problem = Problem::wrong_type(&entry.origin, error.to_string());
                    problems.push(problem.under(&format!(".{}", entry.key)));
                }
            }
        }
        let mut read = BTreeMap::new();
        for (name, value) in services {
            match ServiceCallSettings::read(&value) {
                Ok(settings) => drop(read.insert(name, settings)),
                Err(found) => {
                    problems.extend(found.into_iter().map(|it| it.under(&format!(".{name}"))));
                }
            }
        }
        if problems.is_empty() { Ok(Self(read)) } else { Err(problems) }
    }

    fn write(&self) -> Option<String> {
        let entry = |(name, own): (&ServiceName, &ServiceCallSettings)| {
            format!("{name}: {}", own.write().unwrap_or_else(|| "{}".to_owned()))
        };
        Some(format!("{{{}}}", self.0.iter().map(entry).collect::<Vec<_>>().join(", ")))
    }
}
