//! What is called what in NATS.

use regatta_events::GroupName;

/// The streams and subjects of one bus.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The stream of events.
    pub(crate) fn events(&self) -> String {
        format!("{}_events", self.prefix)
    }

    /// The stream of the groups' states, the last of each.
    pub(crate) fn groups(&self) -> String {
        format!("{}_groups", self.prefix)
    }

    /// The stream of letters: what is known of events that failed.
    pub(crate) fn letters(&self) -> String {
        format!("{}_letters", self.prefix)
    }

    pub(crate) fn all_events(&self) -> String {
        format!("{}.events.>", self.prefix)
    }

    pub(crate) fn all_groups(&self) -> String {
        format!("{}.groups.*", self.prefix)
    }

    pub(crate) fn all_letters(&self) -> String {
        format!("{}.letters.*.*", self.prefix)
    }

    /// Events of this type: each part of it is a part of the subject, so that other clients can
    /// subscribe to `regatta.events.order.>`.
    pub(crate) fn event(&self, event_type: &str) -> String {
        let mut subject = format!("{}.events.", self.prefix);
        let parts = event_type.split('.');
        for (number, part) in parts.enumerate() {
            match (number, part) {
                // An empty part is none for NATS.
                (0, "") => subject.push_str("%2E"),
                (_, "") => subject.push_str(".%2E"),
                (0, part) => encode(&mut subject, part),
                (_, part) => {
                    subject.push('.');
                    encode(&mut subject, part);
                }
            }
        }
        subject
    }

    pub(crate) fn group(&self, group: &GroupName) -> String {
        format!("{}.groups.{group}", self.prefix)
    }

    /// The group whose state has this subject.
    pub(crate) fn group_of(&self, subject: &str) -> Option<GroupName> {
        let name = subject.strip_prefix(&self.prefix)?.strip_prefix(".groups.")?;
        GroupName::try_new(name).ok()
    }

    pub(crate) fn letter(&self, group: &GroupName, position: u64) -> String {
        format!("{}.letters.{group}.{position}", self.prefix)
    }

    pub(crate) fn letters_of(&self, group: &GroupName) -> String {
        format!("{}.letters.{group}.*", self.prefix)
    }
}

/// The position in the subject of a letter.
pub(crate) fn position_of(letter: &str) -> Option<u64> {
    letter.rsplit('.').next()?.parse().ok()
}

fn encode(subject: &mut String, part: &str) {
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => subject.push(byte.into()),
            _ => subject.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_a_subject_whatever_is_in_it() {
        let names = Names::new("shop");
        for (event_type, subject) in [
            ("order.placed", "shop.events.order.placed"),
            ("com.example/x y", "shop.events.com.example%2Fx%20y"),
            ("a..b", "shop.events.a.%2E.b"),
            (".", "shop.events.%2E.%2E"),
            ("*.>", "shop.events.%2A.%3E"),
            ("é", "shop.events.%C3%A9"),
        ] {
            assert_eq!(names.event(event_type), subject);
        }
    }

    #[test]
    fn a_group_and_a_position_are_found_in_their_subjects() {
        let (names, group) = (Names::new("shop"), GroupName::try_new("mail").unwrap());
        assert_eq!(names.group_of(&names.group(&group)), Some(group.clone()));
        assert_eq!(names.group_of("shop.events.mail"), None);
        assert_eq!(position_of(&names.letter(&group, 42)), Some(42));
    }
}
