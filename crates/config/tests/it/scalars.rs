//! The types that settings can have.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;

use regatta_config::Setting;
use regatta_core::{Endpoint, ServiceName};

use super::*;

/// Reads a value from a file.
fn read<T: Setting>(yaml: &str) -> Result<T, String> {
    let config = config(&format!("key: {yaml}\n"), &[]);
    config.get::<T>("key").map(Option::unwrap).map_err(|problems| problems.to_string())
}

#[test]
fn what_looks_like_another_type_is_not_guessed() {
    assert_eq!(read::<String>("no"), Ok("no".to_owned()));
    assert_eq!(read::<String>("012"), Ok("012".to_owned()));
    assert_eq!(read::<String>("1.10"), Ok("1.10".to_owned()));
    assert!(read::<bool>("no").unwrap_err().contains("write true or false"));
    assert!(read::<u32>("012").unwrap_err().contains("write 12"));
    assert!(read::<u32>("1_000").unwrap_err().contains("write 1000"));
    assert!(read::<u32>("\"12\"").unwrap_err().contains("remove the quotes"));
    assert!(read::<u32>("1.5").unwrap_err().contains("expected a whole number from 0"));
}

#[test]
fn numbers_keep_to_their_range() {
    assert_eq!(read::<u8>("255"), Ok(255));
    assert!(read::<u8>("256").unwrap_err().contains("use 0 to 255"));
    assert_eq!(read::<i32>("-1"), Ok(-1));
    assert!(read::<u64>("-1").unwrap_err().contains("use 0 to"));
    assert!(read::<NonZeroU16>("0").unwrap_err().contains("use 1 to 65535"));
    assert_eq!(read::<NonZeroUsize>("3").unwrap().get(), 3);
    assert_eq!(read::<f64>("1.5"), Ok(1.5));
    assert!(read::<f64>(".inf").is_err());
}

#[test]
fn units_are_part_of_durations_and_sizes() {
    assert_eq!(read::<Duration>("1.5m"), Ok(Duration::from_secs(90)));
    assert!(read::<Duration>("30").unwrap_err().contains("`30s`"));
    assert_eq!(read::<ByteSize>("1MiB").unwrap().0, 1 << 20);
    assert_eq!(read::<ByteSize>("10").unwrap().0, 10);
}

#[test]
fn addresses_names_and_paths_are_checked() {
    assert_eq!(read::<IpAddr>("\"::1\"").unwrap().to_string(), "::1");
    assert!(read::<IpAddr>("localhost").unwrap_err().contains("write an address such as"));
    assert_eq!(read::<SocketAddr>("127.0.0.1:80").unwrap().port(), 80);
    assert!(read::<SocketAddr>("127.0.0.1").unwrap_err().contains("write both"));
    assert_eq!(read::<Endpoint>("db:80").unwrap().host(), "db");
    assert!(read::<ServiceName>("User").unwrap_err().contains("write a name such as"));
    assert_eq!(read::<PathBuf>("/a/b"), Ok(PathBuf::from("/a/b")));
    assert!(read::<PathBuf>("\"\"").unwrap_err().contains("write a path"));
}

#[test]
fn lists_maps_and_options_nest() {
    let nested = read::<BTreeMap<String, Vec<u16>>>("{a: [1, 2], b: []}").unwrap();
    assert_eq!(nested, BTreeMap::from([("a".into(), vec![1, 2]), ("b".into(), vec![])]));
    assert_eq!(read::<Vec<Option<u16>>>("[1, ~]"), Ok(vec![Some(1), None]));
    assert_eq!(read::<Option<u16>>("~"), Ok(None));
    assert!(read::<u16>("~").unwrap_err().contains("found nothing"));
}

#[test]
fn a_choice_is_one_of_its_words() {
    assert_eq!(read::<LogFormat>("text"), Ok(LogFormat::Text));
    assert!(read::<LogFormat>("xml").unwrap_err().contains("expected json or text, found `xml`"));
    assert_eq!(LogFormat::Text.to_string(), "text");
}
