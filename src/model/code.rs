//! The closed tables of error codes and of reasons for goodbye.
//!
//! What a client can be told went wrong is in here and nowhere else. Kinds of failure inside the server do not appear:
//! they go to the log and reach a client as [`Code::Internal`] or [`Code::Unavailable`] at most.

/// Declares an enum of wire words with its text form.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every word of the table, in its order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word as it stands on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Why a request was not done, as an `error` event names it.
    Code {
        /// The line is not JSON, or breaks a rule that every line keeps (depth, numbers, surrogates).
        BadJson = "bad_json",
        /// The line is not UTF-8.
        BadUtf8 = "bad_utf8",
        /// The line is longer than `max_line`.
        LineTooLong = "line_too_long",
        /// Body and headers together leave no room for what the server adds.
        TooLarge = "too_large",
        /// The verb is none that the server knows.
        UnknownOp = "unknown_op",
        /// A field is missing, of the wrong type, or does not fit here.
        BadRequest = "bad_request",
        /// A room, nick or pattern that cannot be one.
        BadName = "bad_name",
        /// Who asks has not proved who they are.
        Unauthorized = "unauthorized",
        /// Who asks may not.
        Forbidden = "forbidden",
        /// Somebody has the nick.
        NickInUse = "nick_in_use",
        /// There is no such room, or none that the asker may know of.
        NoSuchRoom = "no_such_room",
        /// Nobody has that nick.
        NoSuchNick = "no_such_nick",
        /// The asker is not in that room.
        NotJoined = "not_joined",
        /// The room stands with other settings.
        RoomExists = "room_exists",
        /// Too fast, or too much at once.
        RateLimited = "rate_limited",
        /// The server, or this connection, has as many rooms as it may.
        TooManyRooms = "too_many_rooms",
        /// The server has as many connections as it may.
        TooManyConnections = "too_many_connections",
        /// The room has no place for another member or message.
        RoomFull = "room_full",
        /// Nobody answered in time.
        Timeout = "timeout",
        /// Nobody is there to answer.
        NoResponders = "no_responders",
        /// The server is going down.
        ShuttingDown = "shutting_down",
        /// It cannot be done now; the outcome is unknown.
        Unavailable = "unavailable",
        /// A fault of the server's own.
        Internal = "internal",
    }
}

words! {
    /// Why a connection ends, as its last event, `bye`, says.
    ByeReason {
        /// The client asked, or its input ended.
        Quit = "quit",
        /// The server goes down.
        Shutdown = "shutdown",
        /// The socket took nothing for `write_timeout`.
        SlowConsumer = "slow_consumer",
        /// Nothing was heard for twice the heartbeat.
        Idle = "idle",
        /// A line was begun and not ended within `line_timeout`.
        LineTimeout = "line_timeout",
        /// `max_errors` lines in a row could not be read.
        TooManyErrors = "too_many_errors",
        /// The server, or the address, has as many connections as it may.
        TooManyConnections = "too_many_connections",
        /// Another connection resumed the session.
        Replaced = "replaced",
        /// A ban fell.
        Banned = "banned",
        /// The credential ran out.
        Expired = "expired",
        /// An administrator closed it.
        Closed = "closed",
    }
}
