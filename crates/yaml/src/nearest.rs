//! The known name that a mistyped one most likely means.

/// The nearest of the known names, if one is near enough to be a slip of the fingers.
///
/// Near enough: at most one edit in three letters, two in six, three in nine. Edits are inserted,
/// missing, wrong and swapped letters; case, `-` and `_` do not count.
///
/// # Source
///
/// Optimal string alignment distance (Boytsov 2011, "Indexing methods for approximate dictionary
/// searching").
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = plain(name);
    // Longer than any name we have, and the cost of the distance is its square.
    if name.len() > 64 {
        return None;
    }
    let near = |other: &'a str| {
        let letters = plain(other);
        let allowed = (name.len().max(letters.len()) / 3).min(3);
        let edits = distance(&name, &letters);
        (edits <= allowed).then_some((edits, other))
    };
    known.into_iter().filter_map(near).min_by_key(|(edits, _)| *edits).map(|(_, other)| other)
}

fn plain(name: &str) -> Vec<char> {
    name.to_lowercase().chars().map(|c| if c == '-' { '_' } else { c }).collect()
}

fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substituted = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substituted.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["host", "port", "password", "header_read_timeout"];

    #[test]
    fn finds_swapped_missing_wrong_and_extra_letters() {
        for (typed, meant) in [
            ("hots", "host"),
            ("prt", "port"),
            ("pasword", "password"),
            ("HOST", "host"),
            ("header-read-timeout", "header_read_timeout"),
            ("header_timeout_read", "header_read_timeout"),
        ] {
            let found = nearest(typed, KNOWN);
            if typed == "header_timeout_read" {
                assert_eq!(found, None, "far names are not guessed");
            } else {
                assert_eq!(found, Some(meant), "{typed}");
            }
        }
    }

    #[test]
    fn guesses_nothing_for_a_stranger() {
        for typed in ["", "x", "colour", "ho", &"a".repeat(10_000)] {
            assert_eq!(nearest(typed, KNOWN), None, "{typed}");
        }
    }

    #[test]
    fn takes_the_nearest_of_several() {
        assert_eq!(nearest("timeouts", ["timeout", "time_out_x", "timers"]), Some("timeout"));
    }
}
