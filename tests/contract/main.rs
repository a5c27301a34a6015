//! The wire contract, row by row, through real sockets: each file is one part of it.

#[path = "../common/mod.rs"]
mod common;

mod frames;
mod hello;
mod names;
mod ops;
mod suite;
