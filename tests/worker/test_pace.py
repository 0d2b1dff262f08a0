"""Running attempts are looked for often while there are some."""

from datetime import timedelta

from worker.steps.pace import Pace


def test_without_running_attempts_the_pause_is_long() -> None:
    pace = Pace(timedelta(seconds=0.5))

    assert (pace.pause(), pace.news.is_set()) == (1.0, False)


def test_the_first_attempt_that_runs_ends_the_pause() -> None:
    pace = Pace(timedelta(seconds=0.5))

    pace.expect(timedelta(seconds=0.5))
    assert (pace.pause(), pace.news.is_set()) == (0.25, True)

    pace.news.clear()
    pace.expect(timedelta(seconds=0.5))
    assert not pace.news.is_set()
