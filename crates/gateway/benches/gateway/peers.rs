//! The proxies under test, each one process with one worker on core 0.
//!
//! HTTP/2 and gRPC: as plain, with HTTP/2 without TLS from clients, and to services for gRPC.
//! Plain: forward with keep-alive on both sides and `X-Forwarded-For`. Ours also takes the service
//! from the path, makes a request id and a trace, sets `Forwarded` and counts metrics; the peers
//! are spared that. Policies: HS256 token with issuer and expiry, role, limit per client, two
//! versions at 90 and 10, one retry, the same fields set. nginx has no JWT without Lua or Plus, so
//! it does the rest only.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use regatta_core::{Instance, Secret};
use regatta_discovery::StaticRegistry;
use regatta_gateway::{Auth, Gateway, RateLimit, Route, Service, Settings};
use regatta_telemetry::{Identity, Options, Telemetry};

use crate::load::SECRET;
use crate::round::Round;

/// A running proxy; it ends with the value.
pub(crate) struct Proxy {
    child: Child,
    pub(crate) address: SocketAddr,
    folder: Option<PathBuf>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
        if let Some(folder) = &self.folder {
            _ = fs::remove_dir_all(folder);
        }
    }
}

impl Proxy {
    pub(crate) fn gateway(services: &[SocketAddr; 2], round: Round) -> Self {
        let address = free_address();
        let mut command = on_core_0(std::env::current_exe().unwrap().to_str().unwrap());
        command.arg("--serve-gateway").arg(address.to_string());
        command.args(services.map(|service| service.to_string()));
        command.arg(round.name());
        Self { child: start(command), address, folder: None }
    }

    pub(crate) fn nginx(services: &[SocketAddr; 2], round: Round) -> Self {
        let (address, folder) = (free_address(), folder("nginx"));
        let [one, two] = services;
        let (http, location) = if round == Round::Policies {
            (
                format!(
                    "limit_req_zone $http_x_client_id zone=clients:10m rate=100000r/s;
                     split_clients $request_id $version {{ 90% one; * two; }}
                     upstream one {{ server {one}; keepalive 64; }}
                     upstream two {{ server {two}; keepalive 64; }}"
                ),
                "limit_req zone=clients burst=100000 nodelay;
                 proxy_pass http://$version;
                 proxy_next_upstream error timeout http_503;
                 proxy_set_header X-Forwarded-Proto http;
                 proxy_set_header X-Forwarded-Host $http_host;
                 proxy_set_header Forwarded \"for=$remote_addr;host=$http_host;proto=http\";
                 add_header X-Request-Id $http_x_request_id;
                 add_header X-RateLimit-Limit 20000;",
            )
        } else {
            (
                format!("upstream both {{ server {one}; server {two}; keepalive 64; }}"),
                if round == Round::Grpc {
                    "grpc_pass grpc://both;"
                } else {
                    "proxy_pass http://both;"
                },
            )
        };
        let http2 = if matches!(round, Round::Http2 | Round::Grpc) { "http2" } else { "" };
        let root = folder.display();
        let text = format!(
            "daemon off; master_process off; worker_processes 1; pid {root}/pid;
             error_log {root}/error.log;
             events {{ worker_connections 16384; }}
             http {{
               access_log off; keepalive_requests 100000000; keepalive_timeout 75s;
               client_body_temp_path {root}/a; proxy_temp_path {root}/b; fastcgi_temp_path {root}/c;
               uwsgi_temp_path {root}/d; scgi_temp_path {root}/e;
               {http}
               server {{
                 listen {address} reuseport {http2};
                 location / {{
                   proxy_http_version 1.1; proxy_set_header Connection \"\";
                   proxy_set_header Host $http_host; proxy_buffering on;
                   proxy_set_header X-Forwarded-For $remote_addr;
                   {location}
                 }}
               }}
             }}"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, text).unwrap();
        let mut command = on_core_0("nginx");
        command.arg("-p").arg(&folder).arg("-c").arg(&file);
        Self { child: start(command), address, folder: Some(folder) }
    }

    pub(crate) fn haproxy(services: &[SocketAddr; 2], round: Round) -> Self {
        let (address, folder) = (free_address(), folder("haproxy"));
        let [one, two] = services;
        let (frontend, weights) = if round == Round::Policies {
            (
                format!(
                    "http-request set-var(txn.bearer) http_auth_bearer
                     http-request deny deny_status 401 unless {{ var(txn.bearer) -m found }}
                     http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
                     http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
                     http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
                     http-request set-var(txn.roles) var(txn.bearer),jwt_payload_query('$.roles[0]')
                     http-request set-var(txn.user) var(txn.bearer),jwt_payload_query('$.user_id')
                     http-request deny deny_status 401 unless {{ var(txn.alg) -m str HS256 }}
                     http-request deny deny_status 401 unless {{ var(txn.iss) -m str dev }}
                     http-request set-var(txn.now) date()
                     http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
                     http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,\"{SECRET}\") -m int 1 }}
                     http-request deny deny_status 403 unless {{ var(txn.roles) -m str user }}
                     stick-table type string len 64 size 100k expire 60s store http_req_rate(60s)
                     http-request track-sc0 req.hdr(X-Client-ID)
                     http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 20000 }}
                     http-request set-header X-Request-Id %[uuid()] unless {{ req.hdr(X-Request-Id) -m found }}
                     http-request set-var(txn.id) req.hdr(X-Request-Id)
                     http-request set-header x-user-id %[var(txn.user)]
                     http-request set-header x-user-roles %[var(txn.roles)]
                     http-request set-header X-Forwarded-Proto http
                     http-request set-header X-Forwarded-Host %[req.hdr(Host)]
                     http-request set-header Forwarded for=%[src];host=%[req.hdr(Host)];proto=http
                     http-response set-header X-Request-Id %[var(txn.id)]
                     http-response set-header X-RateLimit-Limit 20000
                     http-response set-header X-RateLimit-Remaining %[sc_http_req_rate(0)]"
                ),
                ["weight 90", "weight 10"],
            )
        } else {
            (String::new(), ["", ""])
        };
        let http2 = if matches!(round, Round::Http2 | Round::Grpc) { "proto h2" } else { "" };
        let server = if round == Round::Grpc { "proto h2" } else { "" };
        let text = format!(
            "global
               nbthread 1
               maxconn 8000
             defaults
               mode http
               timeout connect 1s
               timeout client 75s
               timeout server 15s
               timeout http-keep-alive 75s
               option forwardfor
               option http-keep-alive
               http-reuse always
               retries 1
               option redispatch
             frontend f
               bind {address} {http2}
               {frontend}
               default_backend b
             backend b
               balance roundrobin
               retry-on conn-failure empty-response 503
               server one {one} {} {server}
               server two {two} {} {server}\n",
            weights[0], weights[1]
        );
        // HAProxy takes one statement a line, indented or not.
        let text: String = text.lines().map(|line| format!("{}\n", line.trim_start())).collect();
        let file = folder.join("haproxy.cfg");
        fs::write(&file, text).unwrap();
        let mut command = on_core_0("haproxy");
        command.arg("-db").arg("-f").arg(&file);
        Self { child: start(command), address, folder: Some(folder) }
    }

    pub(crate) fn wait_until_ready(&mut self) {
        for _ in 0..200 {
            if TcpStream::connect(self.address).is_ok() {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("a proxy ended at its start: {status}");
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("a proxy does not listen on {}", self.address);
    }

    /// User and system seconds so far.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, which may have spaces: field 14 and 15 of proc(5), in hundredths.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    pub(crate) fn resident_kib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// The child that is our gateway: address, two services, mode.
pub(crate) fn serve_gateway(arguments: &[String]) {
    let [address, one, two, mode, ..] = arguments else { panic!("wrong arguments") };
    let mut settings = Settings::default();
    settings.listen = address.parse().unwrap();
    settings.admin = None;
    settings.workers = std::num::NonZeroUsize::new(1);
    settings.limits.connections = 16_000;
    settings.rate_limit = None;
    let mut service = Service::new("a".parse().unwrap());
    if mode == "policies" {
        service.versions = vec![("v1".into(), 90), ("v2".into(), 10)];
        let mut limit = RateLimit::default();
        limit.requests = std::num::NonZeroU32::new(20_000).unwrap();
        limit.max_bytes = 256 << 20;
        settings.rate_limit = Some(limit);
        let mut auth = Auth::new(Secret::new(SECRET));
        auth.issuer = Some("dev".into());
        settings.auth = Some(auth);
        let mut route = Route::new("/a/users/**");
        route.roles = vec!["user".into()];
        settings.routes = vec![route];
    }
    service.grpc = vec!["pkg.Greeter".into()];
    settings.services = vec![service];
    let instance = |address: &str, version: &str| {
        let address: SocketAddr = address.parse().unwrap();
        Instance::new("a".parse().unwrap(), address.into()).with_version(version)
    };
    let registry = StaticRegistry::new([instance(one, "v1"), instance(two, "v2")]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // As in `regatta up`: libraries ask in each call whether anybody listens to their traces.
    let telemetry = Telemetry::init(Identity::new("gateway"), Options::default()).unwrap();
    runtime.block_on(async {
        let gateway = Gateway::bind(settings, Arc::new(registry)).await.unwrap();
        gateway.run(tokio_util::sync::CancellationToken::new()).await.unwrap();
        telemetry.shutdown().await;
    });
}

pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |folder: PathBuf| folder.join(program).is_file();
    std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]).any(found)
}

/// Moves this process, which is load and services, to one core.
pub(crate) fn pin_self(core: usize) {
    let id = std::process::id().to_string();
    let mut command = Command::new("taskset");
    command.args(["-cp", &core.to_string(), &id]).stdout(Stdio::null());
    assert!(command.status().is_ok_and(|status| status.success()), "taskset failed");
}

fn on_core_0(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0", program]).stdin(Stdio::null()).stdout(Stdio::null());
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin"));
    command
}

fn start(mut command: Command) -> Child {
    command.spawn().unwrap()
}

pub(crate) fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!(
        "gateway-bench-{name}-{}-{}",
        std::process::id(),
        free_address().port()
    ));
    fs::create_dir_all(&folder).unwrap();
    folder
}
