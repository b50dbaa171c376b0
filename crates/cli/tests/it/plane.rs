//! A control plane of its own, and Consul's interface as a test calls it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::shop::{REGATTA, until};

/// `regatta control` on free ports; gone with this value.
pub(crate) struct Plane {
    process: Child,
    pub(crate) consul: SocketAddr,
    pub(crate) etcd: SocketAddr,
}

impl Plane {
    /// With its store in this folder, which may hold one.
    pub(crate) fn start(store: &Path, more: &[&str]) -> Self {
        let (consul, etcd) = (free_address(), free_address());
        let mut command = Command::new(REGATTA);
        command.args(["control", "--listen", &consul.to_string()]);
        command.args(["--etcd-listen", &etcd.to_string(), "--dns-listen", "none", "--store"]);
        command.arg(store).args(more).current_dir(store.parent().unwrap());
        command.env_remove("REGATTA_DATA_DIR").env_remove("REGATTA_MANIFEST");
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("the control plane answers", || {
            call(consul, "GET", "/health/ready", "", "").0 == 200
        });
        Self { process, consul, etcd }
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Calls Consul's interface: the status, and what came with it.
pub(crate) fn call(
    at: SocketAddr,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect(at) else { return (0, String::new()) };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nX-Consul-Token: {token}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    let mut answer = String::new();
    if stream.write_all(request.as_bytes()).is_err() || stream.read_to_string(&mut answer).is_err()
    {
        return (0, String::new());
    }
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status, body.unwrap_or_default())
}

/// The value of a key; none when there is none.
pub(crate) fn value(at: SocketAddr, key: &str) -> Option<String> {
    let (status, value) = call(at, "GET", &format!("/v1/kv/{key}?raw"), "", "");
    (status == 200).then_some(value)
}

/// Sets a key.
pub(crate) fn set(at: SocketAddr, key: &str, value: &str) {
    let (status, said) = call(at, "PUT", &format!("/v1/kv/{key}"), "", value);
    assert_eq!((status, said.trim()), (200, "true"));
}

/// The address of a URL that `up` printed.
pub(crate) fn address(url: &Value) -> SocketAddr {
    url.as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap()
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
