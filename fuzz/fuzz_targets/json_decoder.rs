#![no_main]
//! JSON-lines, split anywhere.

use libfuzzer_sys::fuzz_target;
use linehub::protocol::Wire;

fuzz_target!(|data: &[u8]| linehub_fuzz::splits_do_not_matter(Wire::Json, data));
