"""What is slow is waited for, what is stuck is not."""

from infra.lab.processes.progress_timeout import ProgressTimeout


def test_patience_lasts_as_long_as_there_is_progress() -> None:
    now = 0.0
    patience = ProgressTimeout(10, now=lambda: now)
    for step in range(100):
        now += 9
        assert not patience.is_over(step)
    now += 9
    assert not patience.is_over(99)
    now += 2
    assert patience.is_over(99)


def test_without_progress_patience_ends_at_its_limit() -> None:
    now = 0.0
    patience = ProgressTimeout(10, now=lambda: now)
    now = 10.0
    assert not patience.is_over()
    now = 10.1
    assert patience.is_over()
