//! What a running server takes over of a new configuration.
//!
//! Pure: it compares two configurations and names what needs a restart. Who reads the file and who is told is not known
//! here.

use super::Config;
use super::schema::KEYS;

/// The configuration that counts from now on, and the keys whose new value waits for a restart.
///
/// What cannot change in a running server keeps its old value, so that what the result says is what is in force.
pub fn reload(old: &Config, mut new: Config) -> (Config, Vec<&'static str>) {
    let mut waiting = Vec::new();
    for key in KEYS.iter().filter(|key| key.restart) {
        if (key.take)(&mut new, old) {
            waiting.push(key.path);
        }
    }
    if new.listen != old.listen {
        new.listen.clone_from(&old.listen);
        waiting.push("listen");
    }
    (new, waiting)
}
