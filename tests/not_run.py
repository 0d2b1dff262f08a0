"""Tests that were not run are named at the end of every run, and fail it on request."""

from collections import Counter
from collections.abc import Generator

import pytest

_OPTION = "--nothing-skipped"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(_OPTION, action="store_true", help="a test that is skipped counts as failed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure if nothing may be skipped."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption(_OPTION):
        report.outcome = "failed"
        report.longrepr = f"not run: {_reason_of(report)}"
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """Say, below everything but the totals, how many tests were not run and why."""
    yield
    reasons = Counter(_reason_of(report) for report in terminalreporter.stats.get("skipped", []))
    if not reasons:
        return
    terminalreporter.section("NOT RUN", yellow=True, bold=True)
    for reason, count in reasons.most_common():
        terminalreporter.line(f"NOT RUN: {count} {'test' if count == 1 else 'tests'}: {reason}", yellow=True)


def _reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test was skipped: pytest keeps file, line and text."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
