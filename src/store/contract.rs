//! What every engine promises, as one suite that is run on each of them and on the double.
//!
//! A case gets a [`Rig`]: an engine that can be closed and opened again, with calls that write and wait for the answer. It
//! knows nothing of how the engine keeps its promises. What is an engine's own is tried beside it.

mod cases;
mod model;
pub(super) mod rig;
mod searches;
mod stretches;

use rig::{Engine, Rig, Running, Said};
