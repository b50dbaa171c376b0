//! What an operator sets about payments.

use regatta::settings;

use crate::domain::Amount;

settings! {
    /// Rules of payments.
    pub struct PaymentSettings in "payments" {
        /// The largest amount that is paid; more is declined. 0.01 to 999999999.99.
        pub limit: Amount = Amount::DEFAULT_LIMIT;
    }
}

regatta::config::setting_from_text!(Amount, "an amount", "write a decimal such as 1000.00");

#[cfg(test)]
mod tests {
    use regatta::Config;

    use super::*;

    #[test]
    fn the_limit_is_a_thousand_unless_set() {
        assert_eq!(PaymentSettings::default().limit.to_string(), "1000.00");
        for yaml in ["payments: { limit: 12.50 }", "payments: { limit: '12.5' }"] {
            let config = Config::builder().yaml("config.yaml", yaml).build().unwrap();
            let settings: PaymentSettings = config.load().unwrap();
            assert_eq!(settings.limit.to_string(), "12.50");
        }
    }

    #[test]
    fn a_limit_that_is_no_amount_is_refused_with_its_place() {
        let yaml = "payments:\n  limit: 1.005\n";
        let config = Config::builder().yaml("config.yaml", yaml).build().unwrap();
        let problem = config.load::<PaymentSettings>().unwrap_err().to_string();
        assert!(problem.contains("config.yaml:2") && problem.contains("limit"), "{problem}");
    }
}
