"""Every way to misbehave that we could think of, and what a client may make of it.

A load balancer, a network or a broken shop has each of them. Some commit before they misbehave.
"""

import gzip
import json
import time
from typing import Any

from analysis.evidence.records import Outcome
from tests.harness.customers.broken_shop import Visit, Way, answers, closes_at_once, drips, says
from tests.harness.shop_server import reply

A, R, I, U = (  # noqa: E741
    Outcome.ACKNOWLEDGED,
    Outcome.REJECTED,
    Outcome.INDETERMINATE,
    Outcome.UNSENT,
)
REJECTIONS = ("400", "404", "405", "409", "413", "415", "422", "429")
REDIRECTS = ("301", "302", "303", "307", "308")
_SWITCHING = b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
_CHUNKED = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"


def _lengthy(length: int, *headers: bytes, status: bytes = b"201 Created") -> bytes:
    lines = (b"HTTP/1.1 " + status, b"Content-Length: %d" % length, *headers, b"", b"")
    return b"\r\n".join(lines)


def _created(body: bytes) -> bytes:
    return reply("201 Created", body)


def _chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


def _reset_unread(visit: Visit) -> None:
    visit.wait_for_bytes()
    visit.reset()


def _is_silent(visit: Visit) -> None:
    visit.wait_for_end()


def _answers_late(visit: Visit) -> None:
    """Answer when the client has given up, and go on: what it asks then is answered too."""
    if visit.read():
        first = _created(json.dumps(visit.order()).encode())
        time.sleep(3.5)
        visit.send(first)
        answers("409 Conflict", keeps=True)(visit)


def _adds_a_reply_later(visit: Visit) -> None:
    """Answer well, and then once more, unasked: this must never answer the next order."""
    while visit.read():
        visit.send(_created(json.dumps(visit.order()).encode()))
        time.sleep(0.2)
        visit.send(reply("409 Conflict", b"{}"))


_OTHERS: dict[str, Any] = {"product_id": 99, "quantity": 99, "order_key": "other"}
NO_OBJECT = "bad_reply: no JSON object with each name once"
# name: the way, the outcome, the status ("" for any), the cause ("" for any)
WAYS: dict[str, tuple[Way, Outcome, str, str]] = {
    # good ones
    "a good reply": (answers("201 Created", commits=True, keeps=True), A, "201", "none"),
    "a 100 before it": (
        says(b"HTTP/1.1 100 Continue\r\n\r\n", _created, commits=True),
        *(A, "201", "none"),
    ),
    "a 103 before it": (
        says(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", _created, commits=True),
        *(A, "201", "none"),
    ),
    "a 102 and a 103 before it": (
        says(b"HTTP/1.1 102 X\r\n\r\nHTTP/1.1 103 X\r\nA: b\r\n\r\n", _created, commits=True),
        *(A, "201", "none"),
    ),
    "chunks": (
        says(_CHUNKED, _chunk, b"0\r\n\r\n", commits=True),
        *(A, "201", "none"),
    ),
    "a body that the close ends": (
        says(b"HTTP/1.1 201 Created\r\n\r\n", lambda whole: whole, commits=True),
        *(A, "201", "none"),
    ),
    "a zipped body": (
        says(
            lambda whole: reply("201 Created", gzip.compress(whole), "Content-Encoding: gzip"),
            commits=True,
        ),
        *(A, "201", "none"),
    ),
    "another id field": (
        says(lambda whole: _created(whole.replace(b"order_id", b"id")), commits=True),
        *(A, "201", "none"),
    ),
    "a good reply under TLS": (
        answers("201 Created", commits=True, keeps=True),
        *(A, "201", "none"),
    ),
    # never connected
    "refused": (closes_at_once, U, "none", "connect_refused"),
    "a black hole": (closes_at_once, U, "none", "connect_timeout"),
    "no such name": (closes_at_once, U, "none", ""),
    "TLS to a plain port": (answers("201 Created", commits=True), U, "none", ""),
    "silence under TLS": (_is_silent, U, "none", "connect_timeout"),
    # no reply
    "a close before reading": (closes_at_once, I, "none", ""),
    "a reset before reading": (_reset_unread, I, "none", ""),
    "a reset": (says(then=Visit.reset), I, "none", "reset"),
    "a reset after committing": (says(commits=True, then=Visit.reset), I, "none", "reset"),
    "a close": (says(), I, "none", "closed"),
    "a close after committing": (says(commits=True), I, "none", "closed"),
    "silence": (says(then=_is_silent), I, "none", "timeout"),
    "silence after committing": (says(commits=True, then=_is_silent), I, "none", "timeout"),
    "an answer that comes too late": (_answers_late, I, "none", "timeout"),
    "a header that drips": (
        drips(b"HTTP/1.1 201 Created\r\n", b"X-A: b\r\n"),
        I,
        "none",
        "timeout",
    ),
    "a status line that drips": (drips(b"HTTP/1.1 201 ", b"C"), I, "none", "timeout"),
    "a 100 again and again": (drips(b"", b"HTTP/1.1 100 C\r\n\r\n"), I, "none", "timeout"),
    "a 103 again and again": (drips(b"", b"HTTP/1.1 103 C\r\n\r\n"), I, "none", "timeout"),
    # half a reply
    "a cut status line": (says(b"HTTP/1.1 201 Crea", commits=True), I, "none", "truncated"),
    "a cut status line of a 409": (says(b"HTTP/1.1 409", commits=True), I, "none", "truncated"),
    "a status line and no more": (
        says(b"HTTP/1.1 409 Conflict\r\n", commits=True),
        *(I, "none", "truncated"),
    ),
    "a cut header": (says(_lengthy(0)[:-9], commits=True), I, "none", "truncated"),
    "a cut header of a 409": (
        says(_lengthy(0, status=b"409 Conflict")[:-2], commits=True),
        *(I, "none", "truncated"),
    ),
    "a 100 and a close": (
        says(b"HTTP/1.1 100 Continue\r\n\r\n", commits=True),
        *(I, "none", ""),
    ),
    "a 103 and a close": (
        says(b"HTTP/1.1 103 Early Hints\r\n\r\n", commits=True),
        *(I, "none", ""),
    ),
    "a cut body": (says(_lengthy(500), lambda whole: whole, commits=True), I, "201", "truncated"),
    "a cut chunk": (says(_CHUNKED, b"fff\r\n", lambda whole: whole), I, "201", "truncated"),
    "chunks without an end": (says(_CHUNKED, _chunk, commits=True), I, "201", "truncated"),
    "a chunk of no length": (says(_CHUNKED, b"x\r\n", commits=True), I, "", "truncated"),
    "a reset in mid-body": (
        says(_lengthy(500), b"{", commits=True, then=Visit.reset),
        *(I, "", ""),
    ),
    "a cut body that the close ends": (
        says(b"HTTP/1.1 201 Created\r\n\r\n", lambda whole: whole[:-1], commits=True),
        *(I, "201", NO_OBJECT),
    ),
    "a cut 409": (
        says(_lengthy(50, status=b"409 Conflict"), b"{}", commits=True),
        *(I, "409", "truncated"),
    ),
    "a cut 502": (
        says(_lengthy(50, status=b"502 Bad Gateway"), b"x", commits=True),
        *(I, "502", "truncated"),
    ),
    "a body that drips": (drips(_lengthy(500), b" "), I, "201", "timeout"),
    "a chunk that drips": (drips(_CHUNKED + b"fff\r\n", b" "), I, "201", "timeout"),
    "chunks that drip": (drips(_CHUNKED, b"1\r\n \r\n"), I, "201", "timeout"),
    "an endless 409": (drips(_lengthy(500, status=b"409 C"), b" "), I, "409", "timeout"),
    # a whole reply that proves nothing
    "a broken zip": (
        says(lambda _: reply("201 Created", b"\x1f\x8bno", "Content-Encoding: gzip"), keeps=True),
        *(I, "", ""),
    ),
    "no JSON": (says(_created(b"<html>"), commits=True), I, "201", NO_OBJECT),
    "an empty 200": (says(reply("200 OK", b""), commits=True), I, "200", NO_OBJECT),
    "an empty 201": (says(_created(b""), commits=True), I, "201", NO_OBJECT),
    "a 204": (says(b"HTTP/1.1 204 No Content\r\n\r\n", commits=True), I, "204", NO_OBJECT),
    "no order id": (answers("201 Created", commits=True, order_id=None), I, "201", ""),
    **{
        f"another {name}": (
            answers("201 Created", commits=True, **{name: value}),
            *(I, "201", f"bad_reply: {name} is another than was sent"),
        )
        for name, value in _OTHERS.items()
    },
    **{
        f"an id that is {kind}": (
            answers("201 Created", order_id=value),
            *(I, "201", f"bad_reply: order_id is {kind} instead of a whole number"),
        )
        for kind, value in {"a decimal": 7.0, "true or false": True, "a string": "7"}.items()
    },
    **{
        f"{status}": (answers(f"{status} X", commits=True), I, status, "none")
        for status in ["202", "206", "207"]
    },
    "two ids": (
        says(lambda whole: _created(whole[:-1] + b', "order_id": 8}'), commits=True),
        *(I, "201", NO_OBJECT),
    ),
    "502 that is no text": (says(reply("502 Bad Gateway", b"\xff\xfe\xfa")), I, "502", "none"),
    **{
        f"{status}": (answers(f"{status} X"), I, status, "none")
        for status in ["500", "502", "503", "504"]
    },
    **{
        f"{status} after committing": (answers(f"{status} X", commits=True), I, status, "none")
        for status in ["500", "502", "503", "504", "401", "403", "408", "410", "425", "999"]
    },
    **{status: (answers(f"{status} X", keeps=True), R, status, "none") for status in REJECTIONS},
    **{
        f"a {status}": (
            answers(f"{status} X", "Location: /orders", commits=True),
            *(I, status, "none"),
        )
        for status in REDIRECTS
    },
    "an empty 409": (says(reply("409 Conflict", b""), keeps=True), R, "409", "none"),
    "a redirect to nowhere": (
        answers("307 X", "Location: http://[", commits=True),
        *(I, "", ""),
    ),
    # not HTTP as it should be
    "a 101": (
        says(
            b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", _created, commits=True
        ),
        *(I, "", ""),
    ),
    "garbage": (says(b"SSH-2.0-OpenSSH_9.9\r\n\r\n", commits=True), I, "none", "truncated"),
    "a body and no header": (says(lambda whole: whole, commits=True), I, "none", ""),
    "status 99": (says(b"HTTP/1.1 99 X\r\n\r\n", commits=True), I, "none", ""),
    "two replies in one": (
        says(_created, reply("409 Conflict", b""), commits=True, keeps=True),
        *(I, "", "truncated"),
    ),
    "two replies in one, the good one last": (
        says(reply("409 Conflict", b""), _created, commits=True, keeps=True),
        *(I, "", "truncated"),
    ),
    "two replies under TLS": (
        says(_created, reply("409 Conflict", b""), commits=True, keeps=True),
        *(I, "", "truncated"),
    ),
    "a cut header under TLS": (says(_lengthy(0)[:-9], commits=True), I, "none", "truncated"),
    "a reply too many, later": (_adds_a_reply_later, A, "201", ""),
    "more than was announced": (
        says(_lengthy(2), b"{}", lambda whole: whole, commits=True, keeps=True),
        *(I, "", "truncated"),
    ),
    "an empty 409 and more": (
        says(_lengthy(0, status=b"409 Conflict"), lambda whole: whole, commits=True, keeps=True),
        *(I, "", "truncated"),
    ),
    "two lengths": (
        says(_lengthy(2, b"Content-Length: 3"), b"{}x", commits=True, keeps=True),
        *(I, "", ""),
    ),
    "a length and chunks": (
        says(
            _lengthy(500, b"Transfer-Encoding: chunked"),
            _chunk,
            b"0\r\n\r\n",
            commits=True,
            keeps=True,
        ),
        *(I, "", ""),
    ),
}
UNDER_TLS = ("a good reply under TLS", "two replies under TLS", "a cut header under TLS")
