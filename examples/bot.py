#!/usr/bin/env python3
"""A bot that answers commands in a room, and the same commands as requests: examples/bot.py --room lobby

It speaks JSON-lines over a plain socket and needs nothing but Python's standard library. When the connection is lost it
comes back, resumes its session, and answers what was said in between: once, because each answer bears a key of its own.
"""

import argparse
import datetime
import json
import random
import re
import socket
import sys
import time

PAUSE_S_MAX = 30  # between two tries to come back
HEARTBEAT_S = 20  # silence after which the server says `ping`; three times that, and the connection is dead


def answer(body):
    """What the bot says to a command; None where a body is none of its commands."""
    name, _, rest = body.strip().partition(" ") if isinstance(body, str) else ("", "", "")
    if name == "!help":
        return "I know !help, !time, !echo TEXT and !roll 2d6."
    if name == "!time":
        return datetime.datetime.now(datetime.timezone.utc).strftime("%H:%M:%S UTC")
    if name == "!echo":
        return rest.strip() or "…"
    if name == "!roll":
        dice = re.fullmatch(r"([1-9]\d?)d([1-9]\d{0,3})", rest.strip())
        if not dice:
            return "Say how many dice of how many sides: !roll 2d6."
        return " + ".join(str(random.randint(1, int(dice[2]))) for _ in range(int(dice[1])))
    return None


class Bot:
    """One bot through all its connections: what it must remember to go on where it was."""

    def __init__(self, args):
        self.args = args
        self.session = None  # resumes the connection before this one
        self.epoch = None  # the numbering that `seen` belongs to
        self.seen = None  # the number of the last message looked at
        self.name = args.nick  # as the server knows it
        self.taken = 0  # how often the nick was somebody else's

    def serve(self):
        """Lives one connection; gives back how long to stay away, or None to stay away for good."""
        with socket.create_connection((self.args.host, self.args.port), timeout=3 * HEARTBEAT_S) as peer:
            self.hello(peer)
            for line in peer.makefile("rb"):
                event = json.loads(line)
                if event["ev"] == "bye":
                    for_good = event["reason"] in ("quit", "replaced", "banned")
                    return None if for_good else event.get("reconnect_ms", 1000) / 1000
                self.take(peer, event)
        raise ConnectionError("the connection was lost")

    def say(self, peer, **frame):
        peer.sendall(json.dumps(frame, ensure_ascii=False).encode() + b"\n")

    def hello(self, peer):
        nick = self.args.nick + (str(self.taken + 1) if self.taken else "")
        # What is null counts as left out, as the first time here.
        self.say(peer, op="hello", nick=nick, resume=self.session, echo=False, heartbeat_s=HEARTBEAT_S, id="hello")

    def take(self, peer, event):
        """Looks at one event. Those it does not know, of this version or a later one, are passed over."""
        kind = event["ev"]
        if kind == "error" and event.get("id") == "hello" and event["code"] == "nick_in_use":
            self.taken += 1
            self.hello(peer)
        elif kind == "error":
            print(f"{event['code']}: {event['message']}", file=sys.stderr, flush=True)
        elif kind == "welcome":
            self.session = event["session"]
            self.name = event["nick"] + (", again" if event["resumed"] else "")
            part = {"as": "worker", "after": self.seen, "epoch": self.epoch}
            self.say(peer, op="join", room=self.args.room, id="join", **part)
        elif kind == "ok" and event.get("id") == "join":
            self.epoch = event["epoch"]
            print(f"in {event['room']} as {self.name}", flush=True)
            if self.seen is None:
                self.seen = event["seq"]
        elif kind == "message" and event.get("room") == self.args.room:
            self.seen = event["seq"]
            if (reply := answer(event["body"])) is not None:
                key = f"{self.args.nick[:8]}-{self.epoch}-{self.seen}"
                self.say(peer, op="send", room=self.args.room, body=f"{event['from']}: {reply}", idempotency_key=key)
        elif kind == "ping":
            self.say(peer, op="pong")
        elif kind == "request":
            reply = answer(event["body"])
            result = {"error": "send a command as text, such as !help"} if reply is None else {"body": reply}
            self.say(peer, op="reply", req=event["req"], **result)


def main():
    parser = argparse.ArgumentParser(description="A bot that answers commands in a room.")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=7879)
    parser.add_argument("--room", default="lobby")
    parser.add_argument("--nick", default="bot")
    bot, pause = Bot(parser.parse_args()), 1.0
    while pause is not None:
        try:
            known = bot.session
            pause = bot.serve()
        except OSError as error:
            # The first try after a working connection comes soon, each further one later than the one before.
            pause = 1.0 if bot.session != known else min(pause * 2, PAUSE_S_MAX)
            print(f"{error}; next try in {pause:.0f} s", file=sys.stderr, flush=True)
        time.sleep(pause or 0)


if __name__ == "__main__":
    main()
