"""The trace context of a request: the client's if it is valid, else a new one."""

import re

import pytest

from app.core.traceparent import traceparent_of

VALID = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
MADE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00")


def test_the_clients_context_is_kept() -> None:
    assert traceparent_of([VALID]) == VALID


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        [VALID, VALID],
        [VALID.upper()],
        [f" {VALID}"],
        [f"{VALID}\n"],
        [f"{VALID}-more"],
        [VALID.replace("00-", "ff-", 1)],
        [VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32)],
        [VALID.replace("00f067aa0ba902b7", "0" * 16)],
        [VALID.replace("0e4736", "0e473g")],
        ["00-short-short-01"],
    ],
)
def test_anything_else_is_replaced_by_a_new_one(headers: list[str]) -> None:
    first, second = traceparent_of(headers), traceparent_of(headers)

    assert MADE.fullmatch(first)
    assert MADE.fullmatch(second)
    assert first != second
