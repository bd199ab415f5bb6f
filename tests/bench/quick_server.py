"""A server that answers every request at once, the same way, and knows how many it has read.

A process of its own: `python tests/bench/quick_server.py` prints its port on 127.0.0.1 and
serves until its standard input ends; then it prints how many requests it read.
"""

import json
import selectors
import socket
import sys

ANSWER = json.dumps({"id": 1, "order_id": 1, "products": [{"id": 1}], "served_by": "i-quick"})
REPLY = (
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(ANSWER)}\r\n\r\n{ANSWER}"
).encode()


def length_of(request: bytes) -> int:
    """How many bytes of `request` are its first request; 0 while that is not whole."""
    head, end, body = request.partition(b"\r\n\r\n")
    if not end:
        return 0
    length = 0
    if head.startswith(b"POST"):
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
    return len(head) + len(end) + length if len(body) >= length else 0


def serve() -> None:
    """Print the port, answer until nobody listens any more, print the count."""
    selector = selectors.DefaultSelector()
    door = socket.create_server(("127.0.0.1", 0), backlog=1024)
    selector.register(door, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    print(door.getsockname()[1], flush=True)
    unread: dict[socket.socket, bytes] = {}
    count = 0
    while True:
        for key, _ in selector.select():
            source = key.fileobj
            if source is sys.stdin:
                print(count, flush=True)
                return
            assert isinstance(source, socket.socket)
            if source is door:
                line, _ = door.accept()
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(line, selectors.EVENT_READ)
                unread[line] = b""
                continue
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            if not data:
                selector.unregister(source)
                del unread[source]
                source.close()
                continue
            rest = unread[source] + data
            while size := length_of(rest):
                count += 1
                rest = rest[size:]
                source.sendall(REPLY)
            unread[source] = rest


if __name__ == "__main__":
    serve()
