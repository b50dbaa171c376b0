//! Which events a reader of all streams wants.

/// Events of these categories and of these types; an empty list takes all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Categories of streams, such as `order`.
    pub categories: Vec<String>,
    /// Types of events, such as `OrderPlaced`.
    pub types: Vec<String>,
}

impl Filter {
    /// Events of one category.
    pub fn category(category: impl Into<String>) -> Self {
        Self { categories: vec![category.into()], types: Vec::new() }
    }

    /// Whether an event is wanted.
    #[must_use]
    pub fn passes(&self, category: &str, event_type: &str) -> bool {
        let takes = |list: &[String], value: &str| {
            list.is_empty() || list.iter().any(|wanted| wanted == value)
        };
        takes(&self.categories, category) && takes(&self.types, event_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn category_and_type_must_both_fit() {
        let filter = Filter { categories: vec!["order".into()], types: vec!["Placed".into()] };
        assert!(filter.passes("order", "Placed"));
        assert!(!filter.passes("user", "Placed") && !filter.passes("order", "Paid"));
        assert!(Filter::default().passes("user", "Created"));
        assert!(Filter::category("user").passes("user", "Created"));
    }
}
