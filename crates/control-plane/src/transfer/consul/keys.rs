//! Keys, a page at a time; large values alone.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::names::{Names, plain};
use super::server::{Server, escaped, text};
use crate::transfer::plan::Step;
use crate::transfer::{Report, Transfer, TransferError};

/// Keys that are read and written together: Consul's limit of operations in a transaction.
const PAGE: usize = 64;
/// The most bytes of a transaction as it is sent: under Consul's limit of 512 KiB.
const TXN_BYTES: usize = 480 << 10;

/// What is under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// In base64.
    value: String,
    flags: u64,
}

/// An entry that was read.
struct Found {
    entry: Entry,
    /// Whether it is the lock of a client.
    is_locked: bool,
}

/// One call that writes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Write {
    /// Operations of a transaction.
    Txn(Vec<Value>),
    /// A value that is too large for one, since base64 makes it a third larger.
    Alone { key: String, entry: Entry },
}

pub(super) async fn copy(
    transfer: &Transfer,
    from: &Server,
    to: &Server,
    report: &mut Report,
) -> Result<(), TransferError> {
    let mut names = Names::new(from, &transfer.prefix);
    loop {
        let page = names.next(PAGE).await?;
        if page.is_empty() {
            return Ok(());
        }
        let mut here = from.entries(&page).await?;
        let there = to.entries(&page).await?;
        let mut wanted = Vec::new();
        for key in page {
            // One that was deleted since it was listed is none.
            let Some(Found { entry, is_locked }) = here.remove(&key) else { continue };
            if is_locked {
                report.leave();
                continue;
            }
            let held = there.get(&key).map(|found| &found.entry);
            if report.keys.decide(&entry, held, transfer.keep) == Step::Write && !transfer.dry_run {
                wanted.push((key, entry));
            }
        }
        for write in writes(wanted) {
            to.write(write).await?;
        }
    }
}

/// The calls that write these, each within Consul's limits.
fn writes(wanted: Vec<(String, Entry)>) -> Vec<Write> {
    let (mut writes, mut operations, mut bytes) = (Vec::new(), Vec::new(), 0);
    for (key, entry) in wanted {
        let set = json!({ "KV": { "Verb": "set", "Key": key, "Value": entry.value,
            "Flags": entry.flags } });
        // With the comma that follows it.
        let size = set.to_string().len() + 1;
        if size > TXN_BYTES && plain(&key) == key {
            writes.push(Write::Alone { key, entry });
            continue;
        }
        if bytes + size > TXN_BYTES && !operations.is_empty() {
            writes.push(Write::Txn(std::mem::take(&mut operations)));
            bytes = 0;
        }
        bytes += size;
        operations.push(set);
    }
    if !operations.is_empty() {
        writes.push(Write::Txn(operations));
    }
    writes
}

impl Server {
    /// What is under these keys; those that are not there are left out.
    async fn entries(&self, keys: &[String]) -> Result<HashMap<String, Found>, TransferError> {
        let mut wanted: Vec<&String> = keys.iter().collect();
        while !wanted.is_empty() {
            let get = |key: &&String| json!({ "KV": { "Verb": "get", "Key": key } });
            let answer = self.txn(&wanted.iter().map(get).collect()).await?;
            let absent = self.absent(&answer)?;
            if absent.is_empty() {
                return self.found(&answer);
            }
            let mut index = 0;
            wanted.retain(|_| {
                index += 1;
                !absent.contains(&(index - 1))
            });
        }
        Ok(HashMap::new())
    }

    /// Which operations found no key: one of them is enough for nothing to be answered.
    fn absent(&self, answer: &Value) -> Result<Vec<u64>, TransferError> {
        let failed = answer["Errors"].as_array().into_iter().flatten();
        let absent = failed.map(|error| {
            let what = text(error, "What");
            match what.ends_with("doesn't exist") {
                true => error["OpIndex"].as_u64().ok_or(what),
                false => Err(what),
            }
        });
        absent.collect::<Result<_, _>>().map_err(|what| self.refused("read keys", what))
    }

    fn found(&self, answer: &Value) -> Result<HashMap<String, Found>, TransferError> {
        let results = answer["Results"].as_array();
        let results =
            results.ok_or_else(|| self.refused("read keys", "its answer has no results"))?;
        let found = results.iter().map(|result| {
            let pair = &result["KV"];
            let flags = pair["Flags"].as_u64().unwrap_or_default();
            let entry = Entry { value: text(pair, "Value"), flags };
            let is_locked = !text(pair, "Session").is_empty();
            (text(pair, "Key"), Found { entry, is_locked })
        });
        Ok(found.collect())
    }

    async fn write(&self, write: Write) -> Result<(), TransferError> {
        match write {
            Write::Txn(operations) => {
                let answer = self.txn(&Value::Array(operations)).await?;
                match (&answer["Errors"], &answer["Results"]) {
                    (Value::Null, Value::Array(_)) => Ok(()),
                    (Value::Array(errors), _) if !errors.is_empty() => {
                        Err(self.refused("write keys", text(&errors[0], "What")))
                    }
                    _ => Err(self.refused("write keys", "it does not say that it has")),
                }
            }
            Write::Alone { key, entry: Entry { value, flags } } => {
                let value = BASE64_STANDARD.decode(value);
                let value =
                    value.map_err(|_| self.refused("copy a key", "its value is no base64"))?;
                let path = format!("/v1/kv/{}?flags={flags}", escaped(&key));
                self.put_done(&path, value).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: usize) -> Entry {
        Entry { value: BASE64_STANDARD.encode(vec![b'x'; bytes]), flags: 7 }
    }

    #[test]
    fn a_transaction_stays_below_the_limit_and_a_large_value_goes_alone() {
        let sizes = [100, 200 << 10, 200 << 10, 500 << 10, 10];
        let wanted = sizes.iter().enumerate();
        let wanted = wanted.map(|(number, size)| (format!("k{number}"), entry(*size))).collect();
        let writes = writes(wanted);
        let mut keys = Vec::new();
        for write in &writes {
            match write {
                Write::Txn(operations) => {
                    assert!(json!(operations).to_string().len() < 512 << 10);
                    let names = operations.iter().map(|it| text(&it["KV"], "Key"));
                    keys.push(names.collect::<Vec<_>>().join(" "));
                }
                Write::Alone { key, entry } => {
                    assert_eq!((entry.flags, key.as_str()), (7, "k3"));
                    keys.push("alone".to_owned());
                }
            }
        }
        assert_eq!(keys, ["k0 k1", "alone", "k2 k4"]);
        assert!(super::writes(Vec::new()).is_empty());
    }
}
