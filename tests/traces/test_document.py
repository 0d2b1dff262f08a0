"""docs/tracing.md names every span and what is said of it, and shows a trace as it is."""

import re

import pytest

from app.core.span_names import Attribute, SpanEvent, SpanName
from app.core.tracing_settings import TracingSettings
from tests.traces.documented import DOCUMENT, EXPECTED, LISTED

SHOWN = re.compile(r"^(?P<name> *\S.*?) +(?P<service>junis-\w+) +(?P<kind>\w+) +\+ *[\d.]+ +[\d.]+ ms$", re.MULTILINE)


def test_every_span_is_listed_with_its_kind() -> None:
    assert {name: kind for name, (kind, _) in LISTED.items()} == {each.pattern: each.kind for each in SpanName}


def test_everything_that_is_said_of_spans_is_listed() -> None:
    assert set().union(*(said for _, said in LISTED.values())) == {each.value for each in Attribute}
    assert all(f"`{event}`" in DOCUMENT for event in SpanEvent)


def test_every_setting_is_listed() -> None:
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| `OTEL_")]

    listed = {name.lower() for row in rows for name in re.findall(r"`(OTEL_\w+)`", row)}
    assert listed == set(TracingSettings.model_fields)


def test_the_trace_that_is_shown_is_what_is_sent() -> None:
    shown = [match.groupdict() for match in SHOWN.finditer(DOCUMENT)]

    depths = {name.strip() for name in (each["name"] for each in shown)}
    assert depths == {name for name, *_ in EXPECTED}
    assert len(shown) == sum(EXPECTED.values())
    for name, service, kind, above in EXPECTED:
        [of_name, *_] = [each for each in shown if each["name"].strip() == name]
        assert (of_name["service"], of_name["kind"]) == (service, kind)
        assert (above is None) == (not of_name["name"].startswith(" "))


@pytest.mark.parametrize("word", ["prompt", "content", "message", "argument", "url", "path", "header", "body"])
def test_no_attribute_is_for_what_others_have_written(word: str) -> None:
    assert not [each for each in Attribute if word in each.value]
