//! The words every floor shares: names, numbers, commands, events and chunks of messages.
//!
//! Plain data without behaviour of its own: nothing here knows a socket, a channel or a clock. A type lives here when
//! two floors need it; what only one needs lives there.

mod chunk;
mod code;
mod command;
mod event;
mod id;
mod name;
pub mod quantity;
mod settings;

pub use chunk::{Chunk, Draft, Line, Message, Rendition, Sender};
pub use code::{ByeReason, Code};
pub use command::{
    Ask, Command, Create, Hello, History, Join, Outcome, Page, Part, Reply, Request, Search, Send, Span, Start,
};
pub use event::{ErrorEvent, Event, FoundPage, HistoryPage, Item, MemberInfo, OkEvent, RoomInfo, Welcome, Wire};
pub use id::{ConnId, Epoch, Identity, Seq, SessionKey, Tag};
pub use name::{NameError, Nick, Pattern, Place, RoomName, Target};
pub use settings::{HistoryKind, Kind, Settings};
