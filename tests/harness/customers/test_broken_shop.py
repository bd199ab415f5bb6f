"""Orders through the real Locust to a shop that misbehaves in every way we could think of.

One run for each client library; the shop itself knows what arrived, and what it committed.
"""

import json
import socket
import ssl
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

from analysis.evidence.ledger.line_records import AttemptEnded, AttemptSent
from analysis.evidence.records import Outcome
from infra.lab.servers.silent_address import SilentAddress
from tests.harness.customers.broken_shop import Door, Visit, Way, under_tls
from tests.harness.customers.ways import UNDER_TLS, WAYS
from tests.harness.load import ROOT, Load, Locust
from tests.harness.shop_server import serve_connections

pytestmark = pytest.mark.slow


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
    stack.callback(SilentAddress(address, port).close)
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
    tourists = str(ROOT / "tests" / "harness" / "customers" / "tourists.py")
    people = str(len(WAYS))
    # Nobody orders here, but Locust wants to see that somebody listens.
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    return load.start(
        f"http://127.0.0.1:{listener.getsockname()[1]}",
        *("-f", tourists, "-u", people, "-r", "40", "-t", "60s"),
        # A busy machine needs more than a second to accept so many.
        *("--connect-timeout", "2", "--total-timeout", "3"),
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
    besides = {Outcome.INDETERMINATE} if way == "a reply too many, later" else set()
    attempts = [each for each in attempts if each.outcome not in besides]
    assert {each.outcome for each in attempts} <= {outcome}
    if status:
        assert {str(each.http_status or "none") for each in attempts} <= {status}
    if error:
        assert {each.error or "none" for each in attempts} <= {error}


def test_nothing_is_claimed_that_the_shop_itself_denies(tour: Tour) -> None:
    for way, door in tour.doors.items():
        for attempt in tour.attempts_at(way):
            order_id = door.committed.get(attempt.attempt_id)
            if attempt.outcome is Outcome.ACKNOWLEDGED:
                assert (way, attempt.order_id) == (way, order_id)
            if attempt.outcome is Outcome.REJECTED:
                assert (way, order_id) == (way, None)
            if attempt.outcome is Outcome.UNSENT:
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
    assert {"502 Bad Gateway", "timeout", "reset", "closed", "truncated"} <= names
    assert "bad_reply: order_id is a string instead of a whole number" in names
    assert not any("409" in name or "202" in name for name in names)
