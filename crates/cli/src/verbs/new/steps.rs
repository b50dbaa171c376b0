//! What the author of a new service does next: commands that work as printed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use regatta_manifest::{Gateway, Manifest, Requirement};

/// What the commands depend on.
#[derive(Debug)]
pub(super) struct Steps<'a> {
    pub(super) name: &'a str,
    /// The folder of the new service.
    pub(super) folder: &'a Path,
    /// The manifest that has the service, unless none was to be touched.
    pub(super) manifest: Option<(&'a Path, &'a Manifest)>,
    /// Where the author is.
    pub(super) here: &'a Path,
    /// How the author calls `regatta`.
    pub(super) program: &'a str,
}

impl Steps<'_> {
    /// One command a line.
    pub(super) fn lines(&self) -> Vec<String> {
        let Self { name, program, .. } = self;
        let home = self.manifest.and_then(|(path, _)| path.parent()).unwrap_or(self.folder);
        let mut lines = Vec::new();
        if !self.here.starts_with(home) {
            let shown = home.strip_prefix(self.here).unwrap_or(home);
            lines.push(format!("cd {}", shown.display()));
        }
        lines.push(format!("cargo test -p {name}"));
        let Some((path, manifest)) = self.manifest else {
            lines.push(format!(
                "add to a manifest, under `services`: `{name}: {{ run: {{ cargo: {name} }} }}`"
            ));
            return lines;
        };
        let options = match path.file_name() {
            Some(file) if file != "regatta.yaml" => format!(" --manifest {}", path.display()),
            _ => String::new(),
        };
        lines.push(format!("{program}{options} up"));
        let token = match needs_token(&manifest.gateway) {
            true => format!(
                "-H \"Authorization: Bearer $({program}{options} token --user 1 --role user)\" "
            ),
            false => String::new(),
        };
        let address = reachable(manifest.gateway.listen);
        lines.push(match address.port() {
            0 => format!("curl {token}http://GATEWAY/{name}/hello/Ada (GATEWAY: see the table)"),
            _ => format!("curl {token}http://{address}/{name}/hello/Ada"),
        });
        lines
    }
}

/// Whether the gateway asks the callers of a new service for a token. A rule on any service counts
/// too: a token too many does no harm.
fn needs_token(gateway: &Gateway) -> bool {
    let Some(auth) = &gateway.auth else { return false };
    let wild = |path: &str| path.starts_with("/*") || path.starts_with("/{");
    let required = Requirement::Required;
    auth.default == required
        || gateway.routes.iter().any(|route| route.auth == required && wild(&route.path))
}

/// Where a client on this machine finds a listener.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listen.port())
}

/// `regatta` when a shell finds it, else this program's path.
pub(super) fn program() -> String {
    let own = std::env::current_exe().unwrap_or_else(|_| "regatta".into());
    let own = std::fs::canonicalize(&own).unwrap_or(own);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let first = std::env::split_paths(&path)
        .map(|folder| folder.join("regatta"))
        .find(|file| file.is_file())
        .and_then(|file| std::fs::canonicalize(file).ok());
    if first.as_ref() == Some(&own) { "regatta".to_owned() } else { own.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICES: &str = "name: shop\nservices: { pay: { run: { cargo: pay } } }\n";

    #[test]
    fn the_call_goes_where_the_manifest_says() {
        let lines = lines("gateway: { listen: 0.0.0.0:9000 }\n", "/shop");
        let expected =
            ["cargo test -p pay", "regatta up", "curl http://127.0.0.1:9000/pay/hello/Ada"];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_token_is_sent_where_one_is_asked_for() {
        for (auth, has_token) in [
            ("{ issuer: dev, default: required }", true),
            ("{ issuer: dev }", false),
            ("{ issuer: dev, default: none }", false),
        ] {
            let call = lines(&format!("gateway: {{ auth: {auth} }}\n"), "/shop").pop().unwrap();
            assert_eq!(call.contains("$(regatta token --user 1"), has_token, "{call}");
        }
    }

    #[test]
    fn from_elsewhere_the_way_there_comes_first() {
        assert_eq!(lines("", "/")[0], "cd shop");
        assert_eq!(lines("", "/elsewhere")[0], "cd /shop");
        assert_eq!(lines("", "/shop/services")[0], "cargo test -p pay");
    }

    fn lines(gateway: &str, here: &str) -> Vec<String> {
        let manifest = Manifest::parse(&format!("{SERVICES}{gateway}"), "regatta.yaml").unwrap();
        Steps {
            name: "pay",
            folder: Path::new("/shop/services/pay"),
            manifest: Some((Path::new("/shop/regatta.yaml"), &manifest)),
            here: Path::new(here),
            program: "regatta",
        }
        .lines()
    }
}
