import json
import logging
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest

from app.core.logging import JsonFormatter
from app.core.request_context import request_id_var, traceparent_var


@dataclass(frozen=True)
class Log:
    """A logger that is configured as the product's, and the lines that it has written."""

    logger: logging.Logger
    written: StringIO

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.written.getvalue().splitlines()]


@pytest.fixture
def log() -> Log:
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    logger = logging.Logger("product")  # noqa: LOG001 - one that no other test has
    logger.addHandler(handler)
    return Log(logger, written)


def test_a_line_is_one_json_object(log: Log) -> None:
    log.logger.warning("copy_interrupted", extra={"content_id": "a\nb", "reason": {"odd": object}})

    (line,) = log.lines()
    assert list(line) == ["time", "level", "logger", "event", "content_id", "reason"]
    assert (line["level"], line["logger"], line["event"]) == ("warning", "product", "copy_interrupted")
    assert line["content_id"] == "a\nb"
    assert line["time"].endswith("+00:00")


def test_a_line_holds_the_id_of_its_request(log: Log) -> None:
    token = request_id_var.set("mine")
    log.logger.info("inside")
    request_id_var.reset(token)
    log.logger.info("outside")

    inside, outside = log.lines()
    assert inside["request_id"] == "mine"
    assert "request_id" not in outside


def test_a_line_holds_the_trace_of_its_request_and_no_span_of_somebody_else(log: Log) -> None:
    token = traceparent_var.set("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    log.logger.info("inside")
    traceparent_var.reset(token)
    log.logger.info("outside")

    inside, outside = log.lines()
    assert inside["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert "span_id" not in inside
    assert "trace_id" not in outside


def test_an_exception_is_part_of_its_line(log: Log) -> None:
    try:
        raise LookupError("lost")
    except LookupError:
        log.logger.exception("failed")

    (line,) = log.lines()
    assert "Traceback" in line["exception"]
    assert line["exception"].endswith("LookupError: lost")
