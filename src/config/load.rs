//! The layers of a configuration, put over one another: defaults, file, variables, flags.
//!
//! Each layer is read to its end whatever is wrong in it, then the whole is checked. A server never starts, and never
//! reloads, on a configuration with a problem in it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::problem::{Place, Problem, Problems};
use super::schema::{self, Key};
use super::value::Value;
use super::{Config, Listen, LogFormat, Protocol, check, env, file};

/// Where a configuration comes from; kept, so that it can be read again.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// Variables of the environment; those that are not the server's are passed over.
    pub variables: Vec<(OsString, OsString)>,
    /// `--listen`: in place of all listeners.
    pub listen: Vec<SocketAddr>,
    /// `--data`
    pub data: Option<PathBuf>,
    /// `--log-format`
    pub log_format: Option<LogFormat>,
    /// `--log`
    pub log_filter: Option<String>,
}

impl Layers {
    /// Reads all layers.
    pub fn load(&self) -> Result<Config, Problems> {
        let mut draft = Draft::default();
        let mut variables = env::ours(&self.variables);
        let from_variable = variables.remove(env::CONFIG).map(PathBuf::from);
        if let Some(path) = self.file.as_ref().or(from_variable.as_ref()) {
            file::read(path, &mut draft);
        }
        env::read(&variables, &mut draft);
        self.flags(&mut draft);
        check::check(&mut draft);
        draft.finish()
    }

    fn flags(&self, draft: &mut Draft) {
        if !self.listen.is_empty() {
            draft.listen(&self.listen, &Place::Flag("--listen"));
        }
        if let Some(dir) = &self.data {
            draft.config.data.dir.clone_from(dir);
        }
        if let Some(format) = self.log_format {
            draft.config.log.format = format;
        }
        if let Some(filter) = &self.log_filter {
            match schema::filter(filter) {
                Ok(filter) => draft.config.log.filter = filter,
                Err(error) => draft.problem(Place::Flag("--log"), format!("is no filter: {error}")),
            }
        }
    }
}

/// A configuration being put together.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) config: Config,
    /// Where each key was set: `limits.max_line`, `rooms[0]`.
    places: HashMap<String, Place>,
    problems: Vec<Problem>,
}

impl Draft {
    /// Sets one key.
    pub(super) fn set(&mut self, key: &Key, value: &Value<'_>, place: Place) {
        match (key.set)(&mut self.config, value) {
            Ok(()) => self.place(key.path.to_owned(), place),
            Err(message) => self.problem(place, format!("`{}` {message}", key.path)),
        }
    }

    /// Puts `auto` listeners in place of those there are.
    pub(super) fn listen(&mut self, addresses: &[SocketAddr], place: &Place) {
        self.config.listen = addresses.iter().map(|&addr| Listen { addr, protocol: Protocol::Auto }).collect();
        for at in 0..addresses.len() {
            self.place(format!("listen[{at}]"), place.clone());
        }
    }

    /// Remembers where something was set.
    pub(super) fn place(&mut self, name: String, place: Place) {
        self.places.insert(name, place);
    }

    /// Where something was set.
    pub(super) fn place_of(&self, name: &str) -> Place {
        self.places.get(name).cloned().unwrap_or(Place::Default)
    }

    /// Adds a problem.
    pub(super) fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem { place, message: message.into() });
    }

    fn finish(mut self) -> Result<Config, Problems> {
        if self.problems.is_empty() {
            return Ok(self.config);
        }
        self.problems.sort();
        Err(Problems(self.problems))
    }
}
