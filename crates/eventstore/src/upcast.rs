//! Old events in today's form.

use std::collections::BTreeMap;

use serde_json::Value;

/// How many steps one event may take; more is a circle.
const MOST_STEPS: u32 = 1000;

/// Turns events as they were written into the form that is read today, step by step.
///
/// What is stored never changes. A type whose data changes gets a new revision
/// ([`crate::DomainEvent::revision`]) and a step from each older one.
#[derive(Clone, Debug, Default)]
pub struct Upcasters {
    steps: BTreeMap<(String, u32), Step>,
    ignored: Vec<String>,
}

#[derive(Clone, Debug)]
enum Step {
    Change(fn(Value) -> Result<Value, String>),
    Rename(String, u32),
}

/// An old event has no form today.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpcastError {
    /// There is no step from this revision.
    #[error(
        "no upcaster for revision {revision} of `{event_type}`, whose revision today is {current}; \
         add one"
    )]
    Missing {
        /// The type.
        event_type: String,
        /// The revision it stopped at.
        revision: u32,
        /// What it should become.
        current: u32,
    },
    /// The event was written by a later release.
    #[error(
        "event of revision {revision} of `{event_type}` was written by a later release; this one \
         knows {current}"
    )]
    Newer {
        /// The type.
        event_type: String,
        /// The revision it has.
        revision: u32,
        /// The newest known here.
        current: u32,
    },
    /// A step refused the data.
    #[error("revision {revision} of `{event_type}` cannot be changed: {reason}")]
    Refused {
        /// The type.
        event_type: String,
        /// The revision.
        revision: u32,
        /// What the step said.
        reason: String,
    },
    /// Renames lead back to where they began.
    #[error("the upcasters of `{event_type}` go in a circle; remove a rename")]
    Circle {
        /// The type.
        event_type: String,
    },
}

impl Upcasters {
    /// Changes the data of this revision of a type into that of the next.
    #[must_use]
    pub fn change(
        mut self,
        event_type: &str,
        revision: u32,
        change: fn(Value) -> Result<Value, String>,
    ) -> Self {
        self.steps.insert((event_type.to_owned(), revision), Step::Change(change));
        self
    }

    /// Calls this revision of a type by another name and revision; the data stays.
    #[must_use]
    pub fn rename(mut self, event_type: &str, revision: u32, to: &str, to_revision: u32) -> Self {
        let step = Step::Rename(to.to_owned(), to_revision);
        self.steps.insert((event_type.to_owned(), revision), step);
        self
    }

    /// Leaves out events of a type that means nothing any more.
    #[must_use]
    pub fn ignore(mut self, event_type: &str) -> Self {
        self.ignored.push(event_type.to_owned());
        self
    }

    /// The type and data of today; none for an event to leave out. `current` says each type's
    /// revision today.
    ///
    /// # Errors
    ///
    /// [`UpcastError`] when the way does not end at the current revision.
    pub fn upcast(
        &self,
        event_type: &str,
        revision: u32,
        data: Value,
        current: impl Fn(&str) -> u32,
    ) -> Result<Option<(String, Value)>, UpcastError> {
        let mut at = (event_type.to_owned(), revision);
        let mut data = data;
        for _ in 0..MOST_STEPS {
            if self.ignored.contains(&at.0) {
                return Ok(None);
            }
            match self.steps.get(&at) {
                Some(Step::Rename(name, revision)) => at = (name.clone(), *revision),
                Some(Step::Change(change)) => {
                    data = change(data).map_err(|reason| UpcastError::Refused {
                        event_type: at.0.clone(),
                        revision: at.1,
                        reason,
                    })?;
                    at.1 += 1;
                }
                None => {
                    let (event_type, revision) = at;
                    let current = current(&event_type);
                    return match revision.cmp(&current) {
                        std::cmp::Ordering::Equal => Ok(Some((event_type, data))),
                        std::cmp::Ordering::Less => {
                            Err(UpcastError::Missing { event_type, revision, current })
                        }
                        std::cmp::Ordering::Greater => {
                            Err(UpcastError::Newer { event_type, revision, current })
                        }
                    };
                }
            }
        }
        Err(UpcastError::Circle { event_type: event_type.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_old_event_takes_each_step_to_today() {
        let upcasters = Upcasters::default()
            .rename("UserMade", 1, "UserCreated", 1)
            .change("UserCreated", 1, |data| Ok(json!({ "name": data })))
            .change("UserCreated", 2, |mut data| {
                data["role"] = json!("user");
                Ok(data)
            });
        let today = upcasters.upcast("UserMade", 1, json!("Ada"), |_| 3);
        let form = ("UserCreated".to_owned(), json!({ "name": "Ada", "role": "user" }));
        assert_eq!(today, Ok(Some(form.clone())));
        let from_two = upcasters.upcast("UserCreated", 2, json!({ "name": "Ada" }), |_| 3);
        assert_eq!(from_two, Ok(Some(form)));
    }

    #[test]
    fn an_event_of_today_is_left_as_it_is_and_one_without_meaning_is_left_out() {
        let upcasters = Upcasters::default().ignore("Blinked");
        let same = upcasters.upcast("UserCreated", 1, json!(1), |_| 1);
        assert_eq!(same, Ok(Some(("UserCreated".to_owned(), json!(1)))));
        assert_eq!(upcasters.upcast("Blinked", 7, json!(1), |_| 1), Ok(None));
    }

    #[test]
    fn a_way_that_does_not_end_today_is_an_error() {
        let upcasters = Upcasters::default()
            .change("A", 1, |_| Err("no name".to_owned()))
            .rename("B", 1, "C", 1)
            .rename("C", 1, "B", 1);
        let way = |event_type, revision| upcasters.upcast(event_type, revision, json!(1), |_| 2);
        assert!(matches!(way("D", 1), Err(UpcastError::Missing { revision: 1, current: 2, .. })));
        assert!(matches!(way("D", 3), Err(UpcastError::Newer { revision: 3, current: 2, .. })));
        assert!(matches!(way("A", 1), Err(UpcastError::Refused { revision: 1, .. })));
        assert!(matches!(way("B", 1), Err(UpcastError::Circle { .. })));
    }
}
