//! `linehub serve`: puts the configuration together, starts the log and the runtime, and runs the server.
//!
//! It decides nothing itself: what is wrong with the configuration is said by `config`, and what starts and stops in
//! which order is the server's business.

use linehub::config::Layers;
use linehub::server;

use super::{Failure, logs};

pub(super) fn run(layers: Layers) -> Result<(), Failure> {
    let config = layers.load().map_err(|problems| Failure::Configuration(problems.to_string()))?;
    logs::start(&config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.server.threads)
        .enable_all()
        .build()
        .map_err(|error| Failure::Running(format!("the runtime does not start: {error}")))?;
    let reload = move || layers.load().map_err(|problems| problems.to_string());
    runtime.block_on(server::serve(config, reload)).map_err(|error| Failure::Running(error.to_string()))
}
