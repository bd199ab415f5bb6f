"""Our arguments: what they mean, and that a wrong one ends Locust before anything starts."""

import contextlib
import socket
import threading
from argparse import Namespace
from pathlib import Path

import configargparse  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.arguments.arguments import Settings, add_arguments, without_password
from harness.arguments.host import Host
from harness.errors import BadArgument
from harness.faults.moment import FireAt, parse_fire_at
from tests.harness.load import Load
from tests.harness.programs import run_module
from tests.harness.shop_server import Shop


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1m30s", 90), ("90", 90), ("2h", 7200), ("0s", 0), ("2.5s", 2.5)],
)
def test_time_to_fire_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_fire_at(text).after_s(None if seconds < 100 else 10_000) == seconds


def test_share_to_fire_is_of_the_run_time() -> None:
    assert parse_fire_at("40%").after_s(120) == 48


@pytest.mark.parametrize("text", ["", "soon", "30x", "-5s", "100%", "140%", "%", "1s1m"])
def test_nonsense_to_fire_at_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither a time|not before the end"):
        parse_fire_at(text)


@given(st.text(max_size=12))
def test_reading_a_time_to_fire_never_crashes(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_fire_at(text), FireAt)


def test_fault_after_the_end_of_the_run_is_refused() -> None:
    with pytest.raises(BadArgument, match="the run ends after 20 s"):
        parse_fire_at("30s").after_s(20)


def test_share_without_a_run_time_is_refused() -> None:
    with pytest.raises(BadArgument, match="--run-time"):
        parse_fire_at("40%").after_s(None)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("postgresql://shop:geheim@db:5432/shop", "postgresql://shop@db:5432/shop"),
        ("postgresql://db/shop?password=geheim", "postgresql://db/shop"),
        ("postgresql://shop:ge#heim@db/shop", "postgresql://shop@db/shop"),
        ("postgresql://shop:ge?heim@db/shop", "postgresql://shop@db/shop"),
        ("postgresql://shop:geheim@[::1]:1,db:2/shop", "postgresql://shop@[::1]:1,db:2/shop"),
        ("postgresql://shop:geh/eim@db/shop", ""),
        ("postgresql://shop:12/eim@db/shop", ""),
        ("postgresql://shop:12?a/b@db/shop", ""),
        ("postgresql://shop:ge@heim@db/shop", ""),
        ("host=db user=shop password=geheim dbname=shop", ""),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://somebody:geheim@shop.example/here", "http://somebody@shop.example/here"),
    ],
)
def test_password_is_never_kept(url: str, kept: str) -> None:
    assert without_password(url) == kept


def options(*arguments: str) -> Namespace:
    # Locust's is one of these, and cannot be imported without patching this process' sockets.
    parser = configargparse.ArgumentParser(prog="locust")
    add_arguments(parser)
    parser.add_argument("--config")  # which is Locust's own
    found = parser.parse_args(arguments)
    assert isinstance(found, Namespace)
    return found


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--fis-at", "soon"), "neither a time"),
        (("--target", "moon"), "invalid choice"),
        (("--fis-tempalte", "x"), "--fis-tempalte; did you mean --fis-template?"),
        (("--evidence-uri", "https://user:geheim@evidence/x"), "form s3://bucket/prefix"),
    ],
)
def test_wrong_argument_is_one_line_and_64(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        options(*arguments)
    assert ended.value.code == 64
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert "geheim" not in line


def test_a_part_of_a_time_that_is_longer_than_the_whole_is_refused() -> None:
    with pytest.raises(BadArgument, match="longer than --total-timeout"):
        Settings.from_options(options("--connect-timeout", "9"))


@pytest.mark.slow
def test_what_locust_reads_what_we_check_and_what_the_run_finds_wrong_are_64(
    load: Load, shop: Shop, tmp_path: Path
) -> None:
    (tmp_path / "run2").mkdir()
    (tmp_path / "run2" / "run.json").write_text("{}")
    wrong = {
        "unrecognized arguments": load.start(shop.url, "--no-such-thing"),
        "--host": load.start(""),
        "holds a run already": load.start(shop.url),
    }
    for says, locust in wrong.items():
        assert locust.wait() == 64
        (complaint,) = [
            line
            for line in locust.errors.splitlines()
            if ": error: " in line or "chaos-shop" in line
        ]
        assert says in complaint
        assert not list(locust.run.glob("ledger"))


@pytest.mark.slow
def test_shop_that_does_not_answer_means_no_load(load: Load) -> None:
    locust = load.start("http://somebody:geheim@127.0.0.1:9", "-t", "60s")
    assert locust.wait() == 64
    complaints = [line for line in locust.errors.splitlines() if not line.startswith("[")]
    assert len(complaints) == 1  # and no tables of Locust's, which would be empty
    assert "nobody answers at 127.0.0.1:9" in complaints[0]
    assert "geheim" not in locust.output + locust.errors


def test_shop_that_is_still_starting_is_waited_for() -> None:
    with socket.socket() as shop:
        shop.bind(("127.0.0.1", 0))  # it refuses connections until it listens
        host = Host.parse(f"http://127.0.0.1:{shop.getsockname()[1]}/shop")
        with pytest.raises(BadArgument, match=f"nobody answers at {host} .*refused"):
            host.await_answer(timeout_s=1, within_s=0.1)
        threading.Timer(0.3, shop.listen).start()
        host.await_answer(timeout_s=1, within_s=30)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://shop.example", "shop.example:80"),
        ("https://u:geheim@shop.example/here", "shop.example:443"),
        ("http://[::1]:8080/", "[::1]:8080"),
    ],
)
def test_host_is_said_by_name_and_port_alone(url: str, place: str) -> None:
    assert str(Host.parse(url)) == place


@pytest.mark.parametrize("name", ["a..b", "a" * 70])
def test_host_that_can_be_no_name_answers_to_nobody(name: str) -> None:
    with pytest.raises(BadArgument, match="nobody answers"):
        Host.parse(f"http://{name}:80").await_answer(timeout_s=1, within_s=0)


@pytest.mark.parametrize("url", ["shop.example:80", "ftp://x", "http://", "http://geheim:x@h:9x"])
def test_host_that_is_no_url_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(BadArgument, match="--host is no URL") as refused:
        Host.parse(url)
    assert "geheim" not in str(refused.value)


@pytest.mark.slow
def test_unreachable_database_means_no_load(load: Load, shop: Shop) -> None:
    locust = load.start(
        shop.url, "-t", "60s", "--database-url", "postgresql://u:geheim@127.0.0.1:9/x"
    )
    assert locust.wait() == 64
    assert "no load was started" in locust.errors
    assert "Aggregated" not in locust.errors  # Locust's tables would be empty
    assert "geheim" not in locust.output + locust.errors
    assert "geheim" not in (locust.run / "run.json").read_text()
    assert not list((locust.run / "ledger").iterdir())


def test_our_arguments_can_be_read_about() -> None:
    code, told, _ = run_module("locustfiles", "arguments")
    assert code == 0
    for name in ("--fis-template", "--abort-if", "--arrival-rate", "--database-url"):
        assert name in told
