"""What is said to this machine itself goes past proxies."""

import urllib.request

import pytest

from infra.proxies import go_past_proxies


@pytest.mark.parametrize("kept", ["", "intern.example", "127.0.0.1, intern.example", "*"])
def test_loopback_needs_no_proxy_whatever_else_needs_none(
    kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    environment = {"NO_PROXY": kept} if kept else {}
    go_past_proxies(environment)
    go_past_proxies(environment)  # a second time adds nothing
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
        assert value.count("127.0.0.1") == (0 if value == "*" else 1)
    assert urllib.request.proxy_bypass("127.0.0.1:8000")
    assert urllib.request.proxy_bypass("localhost:8000")
    assert bool(urllib.request.proxy_bypass("intern.example")) == (kept != "")
    assert bool(urllib.request.proxy_bypass("aws.example")) == (kept == "*")
