//! Runs a control plane: `cargo run --example control -- HTTP DATA_DIR ETCD DNS`, three addresses.

use regatta_control_plane::{ControlPlane, Settings};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut settings = Settings::default();
    let mut arguments = std::env::args().skip(1);
    if let Some(address) = arguments.next() {
        settings.consul_listen = address.parse()?;
    }
    if let Some(data_dir) = arguments.next() {
        settings.data_dir = data_dir.into();
    }
    if let Some(address) = arguments.next() {
        settings.etcd.listen = Some(address.parse()?);
    }
    if let Some(address) = arguments.next() {
        settings.dns.listen = Some(address.parse()?);
    }
    let control_plane = ControlPlane::bind(settings).await?;
    println!("{}", control_plane.addr());
    if let Some(address) = control_plane.etcd_addr() {
        println!("{address}");
    }
    let drain = CancellationToken::new();
    let stop = async {
        let _no_signals = tokio::signal::ctrl_c().await;
        drain.cancel();
    };
    tokio::join!(control_plane.run(drain.clone()), stop);
    Ok(())
}
