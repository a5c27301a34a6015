//! Where the store is that a subcommand is about: what `--data` says, else what the configuration of `serve` would.
//!
//! It looks for nothing and opens nothing.

use std::path::PathBuf;

use clap::Args;

use linehub::config::Layers;
use linehub::store::sqlite::OpenError;

use super::Failure;

#[derive(Args)]
pub(super) struct DataArgs {
    /// Folder of the server's data [default: where `serve` would have it]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file of the server, where no DIR is given [default: `$LINEHUB_CONFIG`]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl DataArgs {
    /// The directory.
    pub(super) fn directory(&self) -> Result<PathBuf, Failure> {
        if let Some(directory) = &self.data {
            return Ok(directory.clone());
        }
        let layers =
            Layers { file: self.config.clone(), variables: std::env::vars_os().collect(), ..Layers::default() };
        let config = layers.load().map_err(|problems| Failure::Configuration(problems.to_string()))?;
        Ok(config.data.dir)
    }
}

/// A store that is not there is a mistake in the arguments; what else keeps it from being opened is not.
pub(super) fn not_opened(error: &OpenError) -> Failure {
    match error {
        OpenError::Missing(_) => Failure::Configuration(format!("linehub: {error}")),
        _ => Failure::Running(error.to_string()),
    }
}
