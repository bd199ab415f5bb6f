"""Attempts in flight are found again, in memory or on disk, and leave in order."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.evidence.ledger.in_flight import InFlight
from tests.examples import examples

IDS = st.sampled_from(["a", "b", "c", "d", "", "\0", "é", "\ud800"])


@given(st.lists(st.tuples(st.booleans(), IDS)), st.integers(1, 4))
@settings(examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_waits_on_disk_is_found_like_what_waits_in_memory(
    tmp_path: Path, steps: list[tuple[bool, str]], in_memory: int
) -> None:
    boundless, bounded = InFlight(), InFlight(folder=tmp_path, in_memory=in_memory)
    for number, (is_sent, name) in enumerate(steps):
        if is_sent:
            fields = (name, str(number))
            assert bounded.put(name, fields) == boundless.put(name, fields)
        else:
            assert bounded.take(name) == boundless.take(name)
    left = list(boundless.take_all())
    assert left == sorted(left, key=lambda fields: int(fields[1]))
    assert list(bounded.take_all()) == left
    assert list(bounded.take_all()) == []


def test_the_overflow_leaves_no_file_behind_even_in_the_middle(tmp_path: Path) -> None:
    crowd = InFlight(folder=tmp_path, in_memory=10)
    for number in range(100):
        crowd.put(str(number), (str(number),))
    assert list(tmp_path.iterdir()) == []
    assert crowd.take("5") == ("5",)
    assert len(list(crowd.take_all())) == 99
