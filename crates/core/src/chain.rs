//! An error and its causes in one line.

use std::error::Error;
use std::fmt;

/// Displays an error with its causes, outermost first, separated by `: `.
///
/// An error's own `Display` speaks for its level only; logs and `main` print the chain. A level of
/// somebody else's that only repeats its cause is left out.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let says = error.to_string();
            if says != said {
                write!(f, ": {says}")?;
            }
            (said, cause) = (says, error.source());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn prints_each_level_once() {
        let error = Outer(std::io::Error::other("disk is full"));
        assert_eq!(Chain(&error).to_string(), "cannot start: disk is full");
    }

    /// A gRPC check of a port that nobody has said "Connection refused" twice.
    #[test]
    fn leaves_out_a_level_that_repeats_its_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("disk is full")]
        struct Wrapper(#[source] std::io::Error);
        #[derive(Debug, thiserror::Error)]
        #[error("cannot start")]
        struct Wrapped(#[source] Wrapper);
        let error = Wrapped(Wrapper(std::io::Error::other("disk is full")));
        assert_eq!(Chain(&error).to_string(), "cannot start: disk is full");
    }
}
