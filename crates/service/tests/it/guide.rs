//! The guide says what is true.

use regatta_config::Groups;

#[test]
fn the_guide_has_every_setting_of_a_service() {
    let mut schemas = Vec::new();
    regatta::settings::Groups::schemas(&mut schemas);
    let guide = include_str!("../../../../docs/guide/configuration.md");
    for row in regatta_config::reference(&schemas).lines() {
        assert!(guide.contains(row), "docs/guide/configuration.md lacks: {row}");
    }
}
