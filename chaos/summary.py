"""The result of a run as text."""

from collections import Counter
from collections.abc import Iterable

from chaos.run import Result


def describe(result: Result) -> str:
    """The run as several lines of text: first what was done to it, last whether that did harm."""
    asked, coverage, verdict = result.asked, result.coverage, result.judgement.verdict
    lines = [
        "strikes:",
        *(f"  {blow.at:6.1f} s to {blow.until:6.1f} s  {blow.kind}" for blow in result.struck),
        f"strikes in all: {_counts(coverage.strikes)}",
        f"faults of the vendor: {_counts(coverage.faults)}",
        f"webhooks: {_counts(coverage.webhooks)}",
        f"predictions accepted without an answer: {coverage.unanswered}",
        f"of them adopted: {coverage.adopted}, among equals: {coverage.twins}",
        f"responses of the API: {_counts(asked.answers)}",
        f"refusals for want of credits: {_counts(asked.poor)}",
        f"holds of crashed turns: {result.abandoned_holds}",
        f"attempts beyond the first: {result.retries}",
        "endings:",
        *(f"  {count:5d}  {ending}" for ending, count in result.endings.most_common()),
        f"chats charged exactly: {verdict.exact}, by an estimate: {verdict.estimated}",
        f"runs not charged because their request was run again: {verdict.superseded}",
        f"model calls lost in crashes: {verdict.lost}; opened without an event: {result.lost_calls}",
        f"model calls that their turn did not wait for: {verdict.unread}",
        "charges by the ledger, and due by the vendors' log:",
        *_accounts(result),
        *_listed("never happened", coverage.missing),
        f"{result.seconds:.0f} s",
        *_listed("violations", result.violations),
    ]
    return "\n".join(lines)


def _accounts(result: Result) -> list[str]:
    return [
        f"  {name}: {account.charged}, due {account.due.least} to {account.due.most}"
        for name, account in sorted(result.judgement.accounts.items())
    ]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items())) or "none"


def _listed(title: str, items: Iterable[str]) -> list[str]:
    listed = [f"  {item}" for item in items]
    return [f"{title}: {len(listed)}", *listed]
