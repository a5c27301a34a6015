//! Searching, over a store that answers when it is told to: what may be shown is decided when the answer is there.

use std::sync::Arc;

use super::disk::Hub;
use super::rule;
use crate::config::RoomRule;
use crate::store::Refused;

const SEARCH: &str = r#"{"op":"search","query":"needle","id":"s"}"#;

fn filled() -> Hub {
    let mut hub = Hub::new();
    hub.stage.guest(1, "ada");
    hub.does(1, r#"{"op":"send","room":"ops","body":"needle 1"}"#);
    hub.does(1, r#"{"op":"send","room":"lab","body":"needle 2"}"#);
    hub
}

#[test]
fn a_search_is_answered_when_the_store_has_and_holds_up_nobody_else() {
    let mut hub = filled();
    hub.stage.guest(2, "bob");
    assert_eq!(hub.says(1, SEARCH), "");
    assert_eq!(hub.says(1, r#"{"op":"ping","id":"p"}"#), "", "what follows takes its turn");
    assert!(hub.says(2, r#"{"op":"ping","id":"p"}"#).contains("pong"));
    hub.reads();
    let heard = hub.hears(1);
    let found = heard.find("needle 2").zip(heard.find("needle 1")).zip(heard.find("pong"));
    assert!(found.is_some_and(|((newer, older), pong)| newer < older && older < pong), "{heard}");
}

#[test]
fn what_may_not_be_shown_any_more_when_the_answer_comes_is_left_out() {
    let mut hub = filled();
    assert_eq!(hub.says(1, SEARCH), "");
    hub.store.answer_reads();
    let mut config = (*hub.stage.router.config).clone();
    config.rooms.insert(0, RoomRule { search: Some(false), ..rule("lab") });
    hub.stage.router.reconfigure(Arc::new(config));
    hub.reads();
    let heard = hub.hears(1);
    assert!(heard.contains("needle 1") && !heard.contains("needle 2"), "{heard}");
    let heard = hub.does(1, r#"{"op":"search","room":"lab","query":"needle","id":"s"}"#);
    assert!(heard.contains(r#""code":"unavailable","message":"lab cannot be searched"#), "{heard}");
}

#[test]
fn a_store_that_is_busy_says_so() {
    let mut hub = filled();
    hub.store.refuse(Some(Refused::Full));
    let heard = hub.says(1, SEARCH);
    assert!(heard.contains(r#""id":"s","code":"unavailable","message":"too much is being searched"#), "{heard}");
    hub.store.refuse(None);
    assert!(hub.does(1, SEARCH).contains("needle 2"));
}
