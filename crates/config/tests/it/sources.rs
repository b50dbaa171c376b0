//! The file at `CONFIG_PATH`.

use std::path::Path;

use regatta_config::{Config, Presence};

fn from(path: &Path) -> Result<Config, String> {
    let variables = [("CONFIG_PATH".to_owned(), path.display().to_string())];
    Config::from_variables(variables).map_err(|problems| problems.to_string())
}

#[test]
fn a_file_is_read_and_its_name_is_in_every_origin() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.yaml");
    std::fs::write(&path, "\u{feff}a: 1\n").unwrap();
    let config = from(&path).unwrap();
    assert_eq!(config.get::<u32>("a").unwrap(), Some(1));
    let origin = config.origin("a").unwrap().to_string();
    assert!(origin.starts_with(&path.display().to_string()), "{origin}");
}

#[test]
fn a_named_file_must_exist() {
    let error = from(Path::new("/nowhere/app.yaml")).unwrap_err();
    assert_eq!(
        error,
        "configuration file `/nowhere/app.yaml` does not exist; create it or correct the path \
         (CONFIG_PATH)"
    );
}

#[test]
fn an_optional_file_may_be_absent_but_not_broken() {
    let folder = tempfile::tempdir().unwrap();
    let optional = |path: &Path| Config::builder().file(path, Presence::Optional).build();
    assert!(optional(&folder.path().join("absent.yaml")).is_ok());
    assert!(optional(folder.path()).is_err());
}

#[test]
fn an_empty_config_path_counts_as_not_set() {
    let config = Config::from_variables([("CONFIG_PATH".to_owned(), String::new())]);
    // The default path is not there on a machine that runs tests; if it is, it must be readable.
    assert!(config.is_ok() || Path::new(regatta_config::DEFAULT_PATH).exists());
}

#[test]
fn a_directory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = from(folder.path()).unwrap_err();
    assert!(error.ends_with("is a directory; name the file inside it"), "{error}");
}

#[test]
fn a_file_that_is_not_utf8_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.yaml");
    std::fs::write(&path, b"a: 1\nb: \xff\n").unwrap();
    let error = from(&path).unwrap_err();
    assert!(error.ends_with("is not UTF-8 in line 2; save it as UTF-8"), "{error}");
}

#[test]
fn a_file_that_never_ends_is_refused() {
    let error = from(Path::new("/dev/zero")).unwrap_err();
    assert!(error.contains("is over 4 MiB"), "{error}");
}

#[test]
fn malformed_yaml_names_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.yaml");
    std::fs::write(&path, "a: 1\nb: \"open\n").unwrap();
    let error = from(&path).unwrap_err();
    assert!(error.starts_with(&format!("{}:", path.display())), "{error}");
    assert!(error.contains("not YAML"), "{error}");
}

#[test]
fn duplicate_keys_and_a_list_at_the_top_are_refused() {
    let build = |yaml: &str| Config::builder().yaml("c.yaml", yaml).build();
    let error = build("a: 1\nb: 2\na: 3\n").unwrap_err().to_string();
    assert_eq!(error, "c.yaml:3:1: key `a` occurs twice, first in line 1; keep one of them");
    let error = build("- a\n").unwrap_err().to_string();
    assert_eq!(error, "c.yaml:1:1: expected a map, found a list; write `key: value` lines");
}

#[test]
fn a_later_file_lies_over_an_earlier_one() {
    let config = Config::builder()
        .yaml("base.yaml", "a: {x: 1, y: 2}\n")
        .yaml("local.yaml", "a: {y: 3}\n")
        .build()
        .unwrap();
    assert_eq!(config.get::<u32>("a.x").unwrap(), Some(1));
    assert_eq!(config.get::<u32>("a.y").unwrap(), Some(3));
    assert_eq!(config.origin("a.y").unwrap().to_string(), "local.yaml:1:8");
}

#[test]
fn the_problems_of_all_files_are_reported_at_once() {
    let error = Config::builder()
        .file("/nowhere/a.yaml", Presence::Required)
        .yaml("b.yaml", "x: [\n")
        .build()
        .unwrap_err();
    assert_eq!(error.as_slice().len(), 2, "{error}");
}

#[test]
fn a_file_is_read_again_as_it_is_now_under_the_same_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.yaml");
    std::fs::write(&path, "a: 1\nb: 1\n").unwrap();
    let variables = [("B", "7"), ("CONFIG_PATH", path.to_str().unwrap())];
    let variables = variables.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let first = Config::from_variables(variables).unwrap();
    assert_eq!(first.file_paths().collect::<Vec<_>>(), [path.as_path()]);
    std::fs::write(&path, "a: 2\nb: 2\n").unwrap();
    let second = first.reread().unwrap();
    let both = |config: &Config| {
        (config.get::<u32>("a").unwrap().unwrap(), config.get::<u32>("b").unwrap().unwrap())
    };
    assert_eq!((both(&first), both(&second)), ((1, 7), (2, 7)));
    std::fs::write(&path, "a: [").unwrap();
    assert!(first.reread().is_err());
    std::fs::remove_file(&path).unwrap();
    assert!(first.reread().unwrap_err().to_string().contains("does not exist"));
}

#[test]
fn an_optional_file_that_comes_later_is_found_when_it_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.yaml");
    let config = Config::builder().file(&path, Presence::Optional).build().unwrap();
    assert_eq!(config.get::<u32>("a").unwrap(), None);
    std::fs::write(&path, "a: 1").unwrap();
    assert_eq!(config.reread().unwrap().get::<u32>("a").unwrap(), Some(1));
}
