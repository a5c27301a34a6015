//! What two settings must hold between them, checked once all layers are in.
//!
//! Each rule says what would go wrong without it. A problem is put where the setting was made that can be changed.

use std::net::SocketAddr;

use super::RoomRule;
use super::load::Draft;
use super::problem::Place;
use crate::model::{HistoryKind, Kind, Pattern};

/// Adds what does not fit together to a draft's problems.
pub(super) fn check(draft: &mut Draft) {
    sizes(draft);
    listeners(draft);
    rules(draft);
}

fn sizes(draft: &mut Draft) {
    let limits = draft.config.limits.clone();
    let rules = [
        (
            limits.outbox_bytes < 2 * limits.max_line,
            "outbox_bytes",
            "max_line",
            format!(
                "takes at least twice `max_line`, so {}: else one long line makes its reader lag",
                2 * limits.max_line
            ),
        ),
        (
            limits.uncommitted_bytes < limits.max_line,
            "uncommitted_bytes",
            "max_line",
            format!("takes at least `max_line`, so {}: else a long line could never be sent", limits.max_line),
        ),
        (
            limits.outbox_total_bytes < limits.outbox_bytes,
            "outbox_total_bytes",
            "outbox_bytes",
            format!("takes at least `outbox_bytes`, so {}: it is for all connections", limits.outbox_bytes),
        ),
        (
            limits.memory_history_bytes < limits.max_line,
            "memory_history_bytes",
            "max_line",
            format!("takes at least `max_line`, so {}: else a long line is forgotten at once", limits.max_line),
        ),
    ];
    for (broken, key, other, message) in rules {
        if broken {
            // Where the key itself has its default, the other one was set too high.
            let place = match draft.place_of(&format!("limits.{key}")) {
                Place::Default => draft.place_of(&format!("limits.{other}")),
                place => place,
            };
            draft.problem(place, format!("`limits.{key}` {message}"));
        }
    }
}

fn listeners(draft: &mut Draft) {
    let addresses: Vec<SocketAddr> = draft.config.listen.iter().map(|listen| listen.addr).collect();
    if addresses.is_empty() {
        draft.problem(draft.place_of("listen"), "`listen` is empty: nobody could connect");
    }
    for (at, later) in addresses.iter().enumerate() {
        if let Some(earlier) = addresses[..at].iter().find(|earlier| collide(earlier, later)) {
            let place = draft.place_of(&format!("listen[{at}]"));
            draft.problem(place, format!("`{later}` is taken by the listener on `{earlier}`"));
        }
    }
}

/// Whether the system would refuse to bind the second address.
fn collide(one: &SocketAddr, other: &SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0
        && one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (everywhere || one.ip() == other.ip())
}

fn rules(draft: &mut Draft) {
    let rules = draft.config.rooms.clone();
    for (at, rule) in rules.iter().enumerate() {
        let place = draft.place_of(&format!("rooms[{at}]"));
        let shown = rule.pattern.shown();
        let covers = |earlier: &&RoomRule| earlier.pattern == rule.pattern || earlier.pattern == Pattern::all();
        if let Some(earlier) = rules[..at].iter().find(covers) {
            let earlier = earlier.pattern.shown();
            draft.problem(
                place.clone(),
                format!("the rule for `{shown}` never counts: an earlier one, for `{earlier}`, has its rooms"),
            );
        }
        for message in contradictions(rule) {
            draft.problem(place.clone(), format!("the rule for `{shown}` {message}"));
        }
    }
}

/// What a rule says that cannot be had together. A kind that is left open may become any by `create`.
fn contradictions(rule: &RoomRule) -> Vec<&'static str> {
    let forgets = rule.history == Some(HistoryKind::None);
    let keeps = rule.keep_messages.is_some() || rule.keep_bytes.is_some() || rule.keep_age.is_some();
    let acks = rule.ack_wait.is_some() || rule.max_deliver.is_some();
    let table = [
        (
            forgets && rule.kind == Some(Kind::Queue),
            "is for a queue without history: messages could not wait for an ack",
        ),
        (
            forgets && rule.kind == Some(Kind::Latest),
            "is for the latest value without history: there would be none to show",
        ),
        (forgets && keeps, "keeps something of no history: leave out `keep_*`, or `history = \"none\"`"),
        (
            acks && matches!(rule.kind, Some(Kind::Fanout | Kind::Latest)),
            "has `ack_wait` or `max_deliver`, which are for queues",
        ),
    ];
    table.into_iter().filter_map(|(broken, message)| broken.then_some(message)).collect()
}
