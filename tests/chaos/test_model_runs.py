"""The runs of a chat are put together from the vendor's log."""

from chaos.model_runs import runs_of
from tests.chaos.evidence import chat


def test_calls_belong_together_by_the_tool_calls_that_they_answer() -> None:
    log = [
        chat(calls=["a", "b"]),
        chat(calls=["c"]),
        chat(results=["c"], calls=["d"]),
        chat(results=["a", "b"]),
        chat(results=["d"]),
        chat("8.1"),
    ]

    runs = runs_of(log)

    assert [(run.marker, len(run.calls)) for run in runs] == [("7.0", 2), ("7.0", 3), ("8.1", 1)]


def test_a_call_that_was_refused_is_no_part_of_a_run() -> None:
    assert runs_of([{**chat(outcome="refused"), "usage": None}]) == []
