//! The names of keys, a folder at a time.

use super::server::{Server, escaped};
use crate::transfer::TransferError;

/// Walks through the names below a prefix. What is held is the names of one folder, and the folders
/// that are still to be seen.
pub(super) struct Names<'a> {
    server: &'a Server,
    folders: Vec<Folder>,
    found: std::vec::IntoIter<String>,
}

/// A part of the names: those that begin so.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Folder {
    prefix: String,
}

impl<'a> Names<'a> {
    pub(super) fn new(server: &'a Server, prefix: &str) -> Self {
        let folders = vec![Folder { prefix: prefix.to_owned() }];
        Self { server, folders, found: Vec::new().into_iter() }
    }

    /// The next names, at most so many; empty at the end.
    pub(super) async fn next(&mut self, most: usize) -> Result<Vec<String>, TransferError> {
        let mut page = Vec::new();
        loop {
            page.extend(self.found.by_ref().take(most - page.len()));
            if page.len() == most {
                return Ok(page);
            }
            let Some(folder) = self.folders.pop() else { return Ok(page) };
            let listed = self.server.names(&folder.path()).await?;
            let (deeper, names) = folder.split(listed);
            // The first is on top.
            self.folders.extend(deeper.into_iter().rev());
            self.found = names.into_iter();
        }
    }
}

impl Folder {
    /// Servers clean paths up: `a//b` and `a/./b` would be others there. Below what is plain of such
    /// a prefix, all names are listed.
    fn path(&self) -> String {
        let plain = plain(&self.prefix);
        match plain == self.prefix {
            true => format!("/v1/kv/{}?keys&separator=/", escaped(plain)),
            false => format!("/v1/kv/{}?keys", escaped(plain)),
        }
    }

    /// Of what was listed, the folders below and the names of keys.
    fn split(&self, listed: Vec<String>) -> (Vec<Self>, Vec<String>) {
        let own = listed.into_iter().filter(|name| name.starts_with(&self.prefix));
        if plain(&self.prefix) != self.prefix {
            return (Vec::new(), own.collect());
        }
        // The folder itself may be a key, and is listed then.
        let is_folder = |name: &String| name.ends_with('/') && *name != self.prefix;
        let (deeper, names) = own.partition::<Vec<_>, _>(is_folder);
        (deeper.into_iter().map(|prefix| Self { prefix }).collect(), names)
    }
}

/// The first part of a key that a path can carry as it is.
pub(super) fn plain(key: &str) -> &str {
    let mut length = 0;
    for segment in key.split_inclusive('/') {
        if ["/", "./", "../", ".", ".."].contains(&segment) {
            break;
        }
        length += segment.len();
    }
    &key[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_path_cannot_carry_is_cut_off() {
        for (key, expected) in [
            ("", ""),
            ("a/b/", "a/b/"),
            ("a//b", "a/"),
            ("/a", ""),
            ("a/../b", "a/"),
            ("a/.", "a/"),
            ("a/.b/..c", "a/.b/..c"),
        ] {
            assert_eq!(plain(key), expected, "{key}");
        }
    }

    #[test]
    fn a_folder_that_is_a_key_is_not_walked_into_again() {
        let folder = Folder { prefix: "a/".to_owned() };
        let listed = ["a/", "a/b", "a/b/", "a//"].map(str::to_owned).to_vec();
        let (deeper, names) = folder.split(listed);
        let deeper: Vec<_> = deeper.iter().map(|folder| folder.prefix.as_str()).collect();
        assert_eq!((deeper, names), (vec!["a/b/", "a//"], vec!["a/".to_owned(), "a/b".to_owned()]));
    }

    #[test]
    fn below_a_prefix_that_no_path_can_carry_every_name_is_one_of_a_key() {
        let folder = Folder { prefix: "a//".to_owned() };
        assert_eq!(folder.path(), "/v1/kv/a/?keys");
        let listed = ["a/b", "a//c/", "a//c/d"].map(str::to_owned).to_vec();
        assert_eq!(folder.split(listed), (vec![], vec!["a//c/".to_owned(), "a//c/d".to_owned()]));
    }
}
