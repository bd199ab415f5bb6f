"""Orders through the real Locust to a shop that misbehaves in every way we could think of.

One run for each client library; the shop itself knows what arrived, and what it committed.
"""

import gzip
import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from analysis.records import AttemptEnded, AttemptSent, Outcome
from infra.lab.black_hole import BlackHole
from tests.locustfiles.broken_shop import (
    Door,
    Visit,
    Way,
    answers,
    closes_at_once,
    drips,
    says,
    under_tls,
)
from tests.locustfiles.load import ROOT, Load, Locust
from tests.locustfiles.shop_server import reply, serve_connections

pytestmark = pytest.mark.slow

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
        time.sleep(2.2)
        visit.send(first)
        answers("409 Conflict", keeps=True)(visit)


def _adds_a_reply_later(visit: Visit) -> None:
    """Answer well, and then once more, unasked: this must never answer the next order."""
    while visit.read():
        visit.send(_created(json.dumps(visit.order()).encode()))
        time.sleep(0.2)
        visit.send(reply("409 Conflict", b"{}"))


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
        *(I, "201", "bad_reply"),
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
    "no JSON": (says(_created(b"<html>"), commits=True), I, "201", "bad_reply"),
    "an empty 200": (says(reply("200 OK", b""), commits=True), I, "200", "bad_reply"),
    "an empty 201": (says(_created(b""), commits=True), I, "201", "bad_reply"),
    "a 204": (says(b"HTTP/1.1 204 No Content\r\n\r\n", commits=True), I, "204", "bad_reply"),
    "no order id": (answers("201 Created", commits=True, order_id=None), I, "201", ""),
    "another product": (answers("201 Created", commits=True, product_id=99), I, "201", "bad_reply"),
    "another quantity": (answers("201 Created", commits=True, quantity=99), I, "201", "bad_reply"),
    "another key": (answers("201 Created", commits=True, order_key="other"), I, "201", "bad_reply"),
    "an id that is a decimal": (answers("201 Created", order_id=7.0), I, "201", "bad_reply"),
    "an id that is true": (answers("201 Created", order_id=True), I, "201", "bad_reply"),
    "two ids": (
        says(lambda whole: _created(whole[:-1] + b', "order_id": 8}'), commits=True),
        *(I, "201", "bad_reply"),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Tour:
    """What one client library met at each door."""

    doors: dict[str, Door]
    locust: Locust
    sent: dict[str, AttemptSent]
    ended: dict[str, AttemptEnded]

    def attempts_at(self, way: str) -> list[AttemptEnded]:
        number = list(WAYS).index(way) + 1
        return [
            self.ended[each.attempt_id] for each in self.sent.values() if each.product_id == number
        ]


def _certificate(file: Path) -> ssl.SSLContext:
    """Write a certificate for 127.0.0.1 that vouches for itself; return a server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a broken shop")])
    now, day = datetime.now(UTC), timedelta(days=1)
    address = x509.IPAddress(IPv4Address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(certificate.public_bytes(Encoding.PEM) + key.private_bytes(*private))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def _serve(stack: ExitStack, door: Door, way: Way) -> str:
    return stack.enter_context(serve_connections(lambda connection: way(Visit(door, connection))))


def _urls(stack: ExitStack, doors: dict[str, Door], context: ssl.SSLContext) -> list[str]:
    ways = {name: way for name, (way, _, _, _) in WAYS.items()}
    for name in UNDER_TLS:
        ways[name] = under_tls(ways[name], context)
    urls = {name: _serve(stack, doors[name], ways[name]) for name in WAYS}
    for name in ("TLS to a plain port", "silence under TLS", *UNDER_TLS):
        urls[name] = urls[name].replace("http:", "https:")
    urls["no such name"] = "http://no-such-shop.invalid"
    urls["refused"] = "http://127.0.0.1:9"
    with socket.create_server(("127.0.0.1", 0)) as free:
        address, port = free.getsockname()
    stack.callback(BlackHole(address, port).close)
    urls["a black hole"] = f"http://{address}:{port}"
    return [urls[name] for name in WAYS]


def _start(client: str, folder: Path, stack: ExitStack, doors: dict[str, Door]) -> Locust:
    load = Load(folder)
    stack.callback(load.end)
    certificate = folder / "shop.pem"
    context = _certificate(certificate)
    (folder / "netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    load.environment = {
        "CLIENT": client,
        "DOORS": json.dumps(_urls(stack, doors, context)),
        "CERTIFICATE": str(certificate),
        # Whoever listens to these goes nowhere, or says who it is.
        **dict.fromkeys(("http_proxy", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"),
        "NETRC": str(folder / "netrc"),
    }
    tourists = str(ROOT / "tests" / "locustfiles" / "tourists.py")
    people = str(len(WAYS))
    return load.start(
        "http://127.0.0.1:9",
        *("-f", tourists, "-u", people, "-r", people, "-t", "60s"),
        *("--connect-timeout", "1", "--total-timeout", "2"),
    )


@pytest.fixture(scope="module")
def tours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Tour]]:
    """Both clients' tours, at the same time."""
    with ExitStack() as stack:
        doors = {client: {way: Door() for way in WAYS} for client in ("fast", "requests")}
        started = {
            client: _start(client, tmp_path_factory.mktemp(client), stack, doors[client])
            for client in doors
        }
        found = {}
        for client, locust in started.items():
            locust.wait(within_s=90)
            found[client] = Tour(
                doors=doors[client], locust=locust, sent=locust.sent(), ended=locust.ended()
            )
        yield found


@pytest.fixture(params=["fast", "requests"])
def tour(tours: dict[str, Tour], request: pytest.FixtureRequest) -> Tour:
    return tours[request.param]


@pytest.mark.parametrize("way", WAYS)
def test_outcome_is_no_more_than_what_was_proved(tour: Tour, way: str) -> None:
    _, outcome, status, error = WAYS[way]
    attempts = tour.attempts_at(way)
    assert len(attempts) == 2
    # A reader that is late sees already that there is too much.
    besides = {I} if way == "a reply too many, later" else set()
    assert {each.outcome for each in attempts} - besides <= {outcome}
    if status:
        assert {str(each.http_status or "none") for each in attempts} == {status}
    if error:
        assert {each.error or "none" for each in attempts} == {error}


def test_nothing_is_claimed_that_the_shop_itself_denies(tour: Tour) -> None:
    for way, door in tour.doors.items():
        for attempt in tour.attempts_at(way):
            order_id = door.committed.get(attempt.attempt_id)
            if attempt.outcome is A:
                assert (way, attempt.order_id) == (way, order_id)
            if attempt.outcome is R:
                assert (way, order_id) == (way, None)
            if attempt.outcome is U:
                assert attempt.attempt_id not in door.orders()


def test_every_request_arrives_once_whatever_happens_to_it(tour: Tour) -> None:
    for way, door in tour.doors.items():
        orders = door.orders()
        assert (way, len(orders)) == (way, len(set(orders)))
        assert set(orders) <= set(tour.sent)
        reads = [each for each in door.arrivals if each.method == "GET"]
        assert (way, len(reads)) == (way, 1 if orders else 0)
        assert {each.path for each in door.arrivals} <= {"/orders", "/products"}


def test_every_attempt_has_its_end_in_the_ledger(tour: Tour) -> None:
    assert len(tour.sent) == 2 * len(WAYS)
    assert set(tour.ended) == set(tour.sent)


def test_connection_is_used_again_only_after_a_whole_reply(tour: Tour) -> None:
    for way, door in tour.doors.items():
        last_of = {each.connection: each for each in door.arrivals}
        for arrival in door.arrivals:
            if arrival is not last_of[arrival.connection]:
                ended = tour.ended[arrival.headers["x-request-id"]]
                assert (way, ended.error) == (way, "")
    for way in ("a good reply", "a good reply under TLS", "409", "an empty 409"):
        assert (way, len({each.connection for each in tour.doors[way].arrivals})) == (way, 1)


def test_no_drip_is_waited_for(tour: Tour) -> None:
    assert [way for way, door in tour.doors.items() if door.drips_finished] == []


def test_nothing_is_sent_that_the_environment_told(tour: Tour) -> None:
    arrivals = [each for door in tour.doors.values() for each in door.arrivals]
    names = {name for arrival in arrivals for name in arrival.headers}
    assert not {"authorization", "proxy-authorization", "expect"} & names
    assert {each.headers["accept-encoding"] for each in arrivals} == {"identity"}


def test_failures_have_short_names_in_locusts_statistics(tour: Tour) -> None:
    rows = tour.locust.table("locust_failures.csv")
    names = {row["Error"] for row in rows if row["Method"] == "POST"}
    assert {"502 Bad Gateway", "timeout", "reset", "closed", "truncated", "bad_reply"} <= names
    assert not any("409" in name for name in names)
