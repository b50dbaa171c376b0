//! The guide says what is true.

use regatta_config::Groups;

#[test]
fn the_guide_has_every_setting_of_a_service() {
    let mut schemas = Vec::new();
    regatta::settings::Groups::schemas(&mut schemas);
    let reference = regatta_config::reference(&schemas);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/configuration.md");
    let guide = std::fs::read_to_string(path).unwrap();
    // To write it anew: UPDATE_GUIDE=1 cargo test -p regatta --test it guide
    if std::env::var_os("UPDATE_GUIDE").is_some() {
        let heading = "## Settings of every service\n";
        let at = guide.find(heading).unwrap() + heading.len();
        std::fs::write(path, format!("{}\n{}", &guide[..at], reference.trim_start())).unwrap();
        return;
    }
    for row in reference.lines() {
        assert!(guide.contains(row), "docs/guide/configuration.md lacks: {row}");
    }
}
