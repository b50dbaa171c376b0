//! The last lines of a part, in bounded memory.

use std::collections::VecDeque;

/// Keeps the last lines; bounded in lines and in bytes, the oldest leave first.
#[derive(Debug)]
pub(crate) struct Ring {
    lines: VecDeque<String>,
    bytes: usize,
    most_lines: usize,
    most_bytes: usize,
}

impl Ring {
    /// Keeps at most so many lines, and at most so many bytes but always the last line.
    pub(crate) fn new(most_lines: usize, most_bytes: usize) -> Self {
        Self { lines: VecDeque::new(), bytes: 0, most_lines, most_bytes }
    }

    /// Adds a line.
    pub(crate) fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > self.most_lines
            || (self.bytes > self.most_bytes && self.lines.len() > 1)
        {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.len());
        }
    }

    /// The last `count` lines, oldest first.
    pub(crate) fn last(&self, count: usize) -> Vec<String> {
        self.lines.iter().skip(self.lines.len().saturating_sub(count)).cloned().collect()
    }

    /// Forgets all lines.
    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keeps_the_last_lines_in_order() {
        let mut ring = Ring::new(3, 1000);
        (1..=5).for_each(|n| ring.push(n.to_string()));
        assert_eq!(ring.last(10), ["3", "4", "5"]);
        assert_eq!(ring.last(2), ["4", "5"]);
    }

    #[test]
    fn keeps_a_last_line_that_is_too_long_alone() {
        let mut ring = Ring::new(3, 4);
        ring.push("ab".to_owned());
        ring.push("too long".to_owned());
        assert_eq!(ring.last(10), ["too long"]);
    }

    proptest! {
        #[test]
        fn never_exceeds_its_bounds(lines in prop::collection::vec("[a-z]{0,40}", 0..60)) {
            let mut ring = Ring::new(7, 100);
            for line in &lines {
                ring.push(line.clone());
                let kept = ring.last(usize::MAX);
                let bytes: usize = kept.iter().map(String::len).sum();
                prop_assert!(kept.len() <= 7 && bytes <= 100 && bytes == ring.bytes);
            }
            let kept = ring.last(usize::MAX);
            prop_assert!(lines.ends_with(&kept));
        }
    }
}
