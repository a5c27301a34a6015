//! `linehub reindex`: makes the index of searches anew, of a server that is stopped.
//!
//! A server does the same by itself where its index is lost or damaged; this is for when nobody may wait for that.

use std::time::Instant;

use linehub::config::Layers;
use linehub::model::RoomName;
use linehub::store::{Searched, sqlite};

use super::{Failure, logs};

pub(super) fn run(layers: &Layers) -> Result<(), Failure> {
    let config = layers.load().map_err(|problems| Failure::Configuration(problems.to_string()))?;
    logs::start(&config.log);
    let dir = config.data.dir.clone();
    let rooms = move |room: &linehub::store::RoomKey| RoomName::parse(&room.0).is_ok_and(|name| config.searches(&name));
    let begun = Instant::now();
    let messages = sqlite::reindex(&dir, Searched(std::sync::Arc::new(rooms)))
        .map_err(|error| Failure::Running(error.to_string()))?;
    println!("{}: {messages} messages in {:.1} s", dir.display(), begun.elapsed().as_secs_f32());
    Ok(())
}
