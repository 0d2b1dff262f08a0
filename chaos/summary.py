"""The result of a run as text."""

from collections import Counter
from collections.abc import Iterable

from chaos.run import Result


def describe(result: Result) -> str:
    """The run as several lines of text: first what was done to it, last whether that did harm."""
    asked, coverage = result.asked, result.coverage
    lines = [
        "strikes:",
        *(f"  {blow.at:6.1f} s  {blow.victim}" for blow in result.blows),
        f"strikes in all: {_counts(coverage.strikes)}",
        f"faults of the vendor: {_counts(coverage.faults)}",
        f"webhooks: {_counts(coverage.webhooks)}",
        f"predictions accepted without an answer: {coverage.unanswered}, adopted: {coverage.adopted}",
        f"accepted by the service: {len(asked.accepted)}, after {asked.refused} refusals",
        f"answers of the API: {_counts(asked.answers)}",
        f"holds of crashed turns: {result.abandoned_holds}",
        f"attempts beyond the first: {result.retries}",
        "endings:",
        *(f"  {count:5d}  {ending}" for ending, count in result.endings.most_common()),
        *_listed("never happened", coverage.missing),
        f"{result.seconds:.0f} s",
        *_listed("violations", result.violations),
    ]
    return "\n".join(lines)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items())) or "none"


def _listed(title: str, items: Iterable[str]) -> list[str]:
    listed = [f"  {item}" for item in items]
    return [f"{title}: {len(listed)}", *listed]
