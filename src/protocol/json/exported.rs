//! A `message` event read back, as an export wrote it.
//!
//! It holds what a client could have sent to the same rules: no body or header that others could not read comes in by a file.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::commands::HEADERS_BYTES_MAX;
use super::key::Fields;
use super::scan;
use crate::model::{Nick, Seq};

/// One message of an export, borrowed from its line.
#[derive(Debug)]
pub struct Exported<'a> {
    /// Its number.
    pub seq: Seq,
    /// Its time, in Unix milliseconds.
    pub ts: u64,
    /// Who said it.
    pub from: Nick,
    /// The account's name, where it was one.
    pub account: Option<Box<str>>,
    /// The `headers` object, where there is one.
    pub headers: Option<&'a str>,
    /// The body: any JSON value.
    pub body: &'a str,
    /// Whether the body was taken out.
    pub redacted: bool,
}

#[derive(Deserialize)]
struct Read<'a> {
    ev: Box<str>,
    room: Option<Box<str>>,
    seq: u64,
    from: Box<str>,
    account: Option<Box<str>>,
    ts: u64,
    #[serde(borrow)]
    headers: Option<&'a RawValue>,
    #[serde(borrow)]
    body: &'a RawValue,
    #[serde(default)]
    redacted: bool,
}

impl<'a> Exported<'a> {
    /// Reads a line, given without its ending; in words why it is none.
    pub fn parse(line: &'a str) -> Result<Self, String> {
        scan::scan(line.as_bytes(), false, &mut Fields::new()).map_err(|fault| fault.describe(line.as_bytes()))?;
        let fields: Read<'a> = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if &*fields.ev != "message" || fields.room.is_none() {
            return Err("it is no `message` of a room".to_owned());
        }
        let from = Nick::parse(&fields.from).map_err(|error| format!("`from`: {error}"))?;
        let headers = fields.headers.map(RawValue::get);
        if headers.is_some_and(|headers| !headers.starts_with('{') || !scan::is_flat(headers.as_bytes())) {
            return Err("`headers` must be a flat object of strings".to_owned());
        }
        if headers.is_some_and(|headers| headers.len() > HEADERS_BYTES_MAX) {
            return Err(format!("`headers` of more than {HEADERS_BYTES_MAX} bytes"));
        }
        let body = fields.body.get();
        if fields.redacted && body != "null" {
            return Err("a message that was taken back has a body".to_owned());
        }
        let Read { seq, ts, account, redacted, .. } = fields;
        Ok(Self { seq: Seq(seq), ts, from, account, headers, body, redacted })
    }
}
