//! Tables of text.

use regatta_supervisor::PartStatus;

use super::Paint;

/// Lays out rows under a head; each column as wide as its widest cell, two spaces apart.
///
/// `paint` colours a cell by its row and column, after its width is known.
pub(crate) fn table(
    head: &[&str],
    rows: &[Vec<String>],
    paint: impl Fn(usize, usize, &str) -> String,
) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(head[column].chars().count())
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let pad = |column: usize, text: &str| {
        let last = column + 1 == widths.len();
        let spaces = if last { 0 } else { widths[column] + 2 - text.chars().count() };
        " ".repeat(spaces)
    };
    let headline: String = head
        .iter()
        .enumerate()
        .map(|(column, text)| format!("{text}{}", pad(column, text)))
        .collect();
    let line = |(index, row): (usize, &Vec<String>)| {
        let cells = row.iter().enumerate();
        cells.map(|(column, text)| paint(index, column, text) + &pad(column, text)).collect()
    };
    std::iter::once(headline.trim_end().to_owned())
        .chain(rows.iter().enumerate().map(line))
        .collect()
}

/// The table of a system: part, URL, state, pid, restarts; and why, where there is a why.
pub(crate) fn parts_table(parts: &[PartStatus], paint: &Paint) -> Vec<String> {
    let has_notes = parts.iter().any(|part| part.note.is_some());
    let has_admin = parts.iter().any(|part| part.admin_url.is_some());
    let row = |part: &PartStatus| {
        let pid = part.process.map_or_else(|| "-".to_owned(), |process| process.pid.to_string());
        let version =
            part.version.as_ref().map_or(String::new(), |version| format!(" ({version})"));
        let mut row = vec![
            format!("{}{version}", part.name),
            part.url.clone(),
            part.state.as_str().to_owned(),
            pid,
            part.restarts.to_string(),
        ];
        if has_admin {
            row.push(part.admin_url.clone().unwrap_or_else(|| "-".to_owned()));
        }
        if has_notes {
            row.push(part.note.clone().unwrap_or_default());
        }
        row
    };
    let rows: Vec<Vec<String>> = parts.iter().map(row).collect();
    let mut head = vec!["PART", "URL", "STATE", "PID", "RESTARTS"];
    if has_admin {
        head.push("ADMIN");
    }
    if has_notes {
        head.push("NOTE");
    }
    let colour = |index: usize, column: usize, text: &str| match column {
        0 => paint.service(&parts[index].service, text),
        2 => paint.state(parts[index].state, text),
        _ => text.to_owned(),
    };
    table(&head, &rows, colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            [vec!["a".to_owned(), "1".to_owned()], vec!["größer".to_owned(), "2".to_owned()]];
        let lines = table(&["NAME", "N"], &rows, |_, _, text| text.to_owned());
        assert_eq!(lines, ["NAME    N", "a       1", "größer  2"]);
    }

    #[test]
    fn a_part_that_is_restarting_shows_why() {
        let text = r#"{"name": "user-1", "service": "user", "kind": "service", "version": "v2",
            "state": "crash-loop", "url": "http://127.0.0.1:1", "admin_url": null, "process": null,
            "restarts": 4, "note": "ended with exit status: 1", "since": "", "log": ""}"#;
        let part: PartStatus = serde_json::from_str(text).unwrap();
        let lines = parts_table(&[part], &Paint::none());
        let expected =
            "user-1 (v2)  http://127.0.0.1:1  crash-loop  -    4         ended with exit status: 1";
        assert_eq!(lines[1], expected);
        assert!(lines[0].ends_with("RESTARTS  NOTE"));
    }
}
