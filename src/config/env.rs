//! Reads `LINEHUB_*` variables into a draft: `LINEHUB_` and the table and key in capitals, as `LINEHUB_LIMITS_MAX_LINE`.
//!
//! An unknown variable is an error, as an unknown key is, for a setting that silently does nothing is found out too
//! late. Passed over are only those that others set: Kubernetes, for a service named `linehub`, and the test suite.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::load::Draft;
use super::problem::{Place, hint};
use super::schema::{KEYS, Key, address};
use super::value::Value;

/// Names the file where no flag does.
pub(super) const CONFIG: &str = "LINEHUB_CONFIG";

/// One `auto` listener, or more with commas between, in place of all others.
const LISTEN: &str = "LINEHUB_LISTEN";

/// The variables that are meant for the server.
pub(super) fn ours(variables: &[(OsString, OsString)]) -> BTreeMap<String, OsString> {
    variables
        .iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.clone()))
        .filter(|(name, _)| name.starts_with("LINEHUB_") && !is_foreign(name))
        .collect()
}

fn is_foreign(name: &str) -> bool {
    name == "LINEHUB_PORT" || ["LINEHUB_PORT_", "LINEHUB_SERVICE_", "LINEHUB_TEST_"].iter().any(|p| name.starts_with(p))
}

/// Reads variables into a draft.
pub(super) fn read(variables: &BTreeMap<String, OsString>, draft: &mut Draft) {
    for (name, value) in variables {
        let place = Place::Variable(name.clone());
        let Some(text) = value.to_str() else {
            draft.problem(place, "is not UTF-8");
            continue;
        };
        if name == LISTEN {
            listen(text, &place, draft);
        } else if let Some(key) = KEYS.iter().find(|key| variable(key) == *name) {
            draft.set(key, &Value::Text(text), place);
        } else {
            unknown(name, place, draft);
        }
    }
}

/// The variable of a key.
fn variable(key: &Key) -> String {
    format!("LINEHUB_{}_{}", key.table, key.name).to_uppercase()
}

fn listen(text: &str, place: &Place, draft: &mut Draft) {
    let addresses: Result<Vec<_>, String> = text.split(',').map(|one| address(&Value::Text(one.trim()))).collect();
    match addresses {
        Ok(addresses) => draft.listen(&addresses, place),
        Err(message) => draft.problem(place.clone(), message),
    }
}

fn unknown(name: &str, place: Place, draft: &mut Draft) {
    if name.starts_with("LINEHUB_ROOMS") {
        draft.problem(place, "rooms are configured in a file alone, as `[[rooms]]`");
        return;
    }
    let known: Vec<String> = KEYS.iter().map(variable).chain([CONFIG.to_owned(), LISTEN.to_owned()]).collect();
    let hint = hint(name, known.iter().map(String::as_str));
    draft.problem(place, format!("there is no such setting{hint}"));
}
