#!/usr/bin/env python3
"""A source of load: publishes numbered messages as fast as the server takes them, and counts what was accepted.

    examples/load.py --room bench --count 100000 --size 200

It speaks JSON-lines over a plain socket and needs nothing but Python's standard library. One thread writes while the other
reads, as every fast publisher must: a server stops reading from whoever does not read its answers.
"""

import argparse
import json
import socket
import sys
import threading
import time

BATCH = 500  # lines in one write: enough that the system calls do not count


def frames(room, first, count, size):
    """The lines of some messages, each of `size` bytes of text behind its number."""
    text = "x" * size
    for number in range(first, first + count):
        yield json.dumps({"op": "send", "room": room, "body": {"n": number, "text": text}, "id": number}) + "\n"


def publish(peer, room, count, size):
    for first in range(1, count + 1, BATCH):
        peer.sendall("".join(frames(room, first, min(BATCH, count + 1 - first), size)).encode())
    # Everything before it is carried out and answered, then the server closes.
    peer.sendall(b'{"op":"quit"}\n')


def main():
    parser = argparse.ArgumentParser(description="Publishes messages as fast as the server takes them.")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=7879)
    parser.add_argument("--room", default="bench")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=100)
    args = parser.parse_args()

    accepted, refused, last = 0, {}, 0
    begun = time.monotonic()
    with socket.create_connection((args.host, args.port)) as peer:
        writer = threading.Thread(target=publish, args=(peer, args.room, args.count, args.size), daemon=True)
        writer.start()
        for line in peer.makefile("rb"):
            event = json.loads(line)
            if event["ev"] == "ok":
                accepted, last = accepted + 1, event["seq"]
            elif event["ev"] == "error":
                refused[event["code"]] = refused.get(event["code"], 0) + 1
            elif event["ev"] == "bye":
                break
    took = time.monotonic() - begun

    print(f"accepted {accepted} of {args.count}, the last as number {last} of {args.room}")
    for code, times in sorted(refused.items()):
        print(f"refused {times} with {code}")
    print(f"{took:.2f} s, {accepted / took:.0f} messages a second with this one connection", file=sys.stderr)
    return 0 if accepted == args.count else 1


if __name__ == "__main__":
    sys.exit(main())
