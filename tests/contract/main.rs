//! The wire contract, row by row, through real sockets: each file is one part of it.

#[path = "../common/mod.rs"]
mod common;

mod direct;
mod ending;
mod frames;
mod hello;
mod history;
mod joins;
mod lag;
mod limits;
mod logs;
mod messages;
mod names;
mod ops;
mod patterns;
mod queues;
mod requests;
mod rooms;
mod search;
mod suite;
