"""Whether a worker shares its master's disk is proved, not assumed."""

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.evidence.run_directory import RunDirectory
from harness.errors import LedgerFailed
from harness.workers import ledger_place as _place
from harness.workers.ledger_place import Offer, own_directory, own_name


@pytest.fixture
def offer(tmp_path: Path) -> Offer:
    run = RunDirectory.create(root=tmp_path / "masters", experiment="test", at=1)
    made = Offer.of(run)
    run.update_run(nonce=made.nonce)
    return made


def test_an_offer_that_went_over_the_wire_is_recognised_on_the_same_disk(offer: Offer) -> None:
    assert Offer.read(offer.as_message()).is_shared()


@pytest.mark.parametrize(
    "difference",
    [{"nonce": "another"}, {"machine": "another host"}, {"path": "/no/such/run"}],
    ids=["another run there", "another machine", "nothing there"],
)
def test_what_differs_is_not_shared(offer: Offer, difference: dict[str, str]) -> None:
    assert not replace(offer, **difference).is_shared()


def test_another_boot_of_the_same_host_is_another_machine(
    offer: Offer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_place, "start_of_machine", lambda: b"another")
    assert not offer.is_shared()


def test_a_run_without_its_nonce_is_not_shared(offer: Offer) -> None:
    (Path(offer.path) / "run.json").write_text("{}")
    assert not offer.is_shared()
    (Path(offer.path) / "run.json").write_text("not JSON")
    assert not offer.is_shared()


def test_a_workers_own_place_is_no_run_of_its_own(
    offer: Offer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = own_name(offer, "host_0123456789abcdef")
    made = own_directory(offer, name)
    assert made.path == tmp_path / "runs" / f"{offer.run_id}-worker-{name}"
    assert made.ledger_file(name).parent.is_dir()
    assert not (tmp_path / "runs" / "latest").exists()
    with pytest.raises(LedgerFailed, match="cannot make"):
        own_directory(offer, name)


def test_workers_of_hosts_and_runs_that_share_their_names_differ(offer: Offer) -> None:
    names = {own_name(offer, "host_aaaaaa"), own_name(offer, "host_bbbbbb")}
    names |= {own_name(replace(offer, nonce="123456789"), "host_aaaaaa")}
    assert len(names) == 3
