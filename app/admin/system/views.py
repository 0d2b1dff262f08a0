"""What the state of the system comes to: a word, a sentence, and the parts behind it, trouble first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from app.admin.filters import duration
from app.admin.system.inspection import System
from app.admin.system.queries import MOST
from app.core.watch import UNKNOWN, Finding
from app.predictions.budget import Standing
from app.queue.processes import Process, ProcessKind
from app.retention.models import Kind
from app.retention.runs import Run

# So long may a row be due before somebody should look.
_LONG_WAIT: Final = 30.0
_KIND_WORDS: Final = {
    Kind.SESSIONS: "sessions",
    Kind.METERING: "ended holds",
    Kind.IDEMPOTENCY_KEYS: "keys",
    Kind.INPUT_FILES: "files sent for generations",
    Kind.WEBHOOKS: "events of webhooks",
}
_ORDER: Final = ("bad", "look", "wait", "ok")


@dataclass(frozen=True)
class Part:
    """A part of the system: what it is, a line about it, and its state as a shape and a word."""

    name: str
    line: str
    kind: str
    word: str


@dataclass(frozen=True)
class Verdict:
    """The state of everything: its shape, a word, and a sentence."""

    kind: str
    word: str
    sentence: str


def verdict_of(system: System) -> Verdict:
    """What all parts come to: the worst of them, and what to know of the others."""
    found = list(_troubles(system))
    if not found:
        return Verdict("ok", "Works", "Everything answers, and nothing waits longer than it should.")
    kind = "bad" if any(kind == "bad" for kind, _ in found) else "look"
    sentences = [sentence for _, sentence in sorted(found, key=lambda each: _ORDER.index(each[0]))]
    return Verdict(kind, "Stands still" if kind == "bad" else "Needs a look", " ".join(sentences))


def _troubles(system: System) -> Iterator[tuple[str, str]]:
    yield from _of_queue(system)
    yield from _of_processes(system)
    yield from _of_vendor(system)
    yield from _of_retention(system)
    if system.redis.state not in {"ok", UNKNOWN.state}:
        yield "look", "Redis cannot be used: each process counts limits by itself, and work is found by polling."
    if system.store.state not in {"ok", UNKNOWN.state}:
        yield "bad", "The object store cannot be used: generations wait, and files are not delivered."


def _of_queue(system: System) -> Iterator[tuple[str, str]]:
    if system.queue.value is None:
        yield "bad", "Postgres did not say what waits."
    elif system.queue.value.oldest_waits > _LONG_WAIT:
        yield "look", f"The oldest due work waits for {duration(system.queue.value.oldest_waits)}."
    if system.revisions.value is not None and system.revisions.value[0] < system.revisions.value[1]:
        yield "bad", "The schema is behind the code: run `junis migrate`."


def _of_processes(system: System) -> Iterator[tuple[str, str]]:
    if system.processes.value is None:
        return
    workers = [each for each in system.processes.value if each.kind is ProcessKind.WORKER]
    live = [each for each in workers if not each.is_silent]
    if not live:
        yield "bad", "No worker reports, so nothing is generated."
    silent = sum(each.is_silent for each in system.processes.value)
    if silent and live:
        words = "1 process is" if silent == 1 else f"{silent} processes are"
        yield "look", f"{words} silent; the others take over what it did."
    if any(not runs for each in live for runs in each.loops.values()):
        yield "look", "A loop of a worker has stalled."


def _of_vendor(system: System) -> Iterator[tuple[str, str]]:
    standing = system.vendor.value
    if standing is None:
        return
    if standing.denial is not None:
        yield "bad", "Replicate refuses this account, so nothing is started."
    elif standing.blocked_for:
        yield "look", f"Replicate has asked to wait; creates go on in {duration(standing.blocked_for.total_seconds())}."


def _of_retention(system: System) -> Iterator[tuple[str, str]]:
    faults = 0 if system.retention.value is None else system.retention.value[1]
    if faults:
        ledgers = "1 ledger" if faults == 1 else f"{faults:,} ledgers"
        yield "look", f"{ledgers} cannot be sealed, so that nothing of them is pruned: `junis prune` says why."


def parts_of(system: System, store_place: str) -> list[Part]:
    """The parts outside of this process, those with trouble first."""
    parts = [_vendor(system), _store(system.store, store_place), _redis(system), _postgres(system)]
    if system.retention.value is not None and system.retention.value[0]:
        parts.append(_retention(*system.retention.value))
    return sorted(parts, key=lambda part: _ORDER.index(part.kind))


def _retention(last: Sequence[Run], faults: int) -> Part:
    told = "; ".join(
        f"{_KIND_WORDS[run.kind]}: {run.removed:,} removed on {run.began_at:%d %B, %H:%M} UTC" for run in last
    )
    kind, word = ("look", "Refused") if faults else ("ok", "Works")
    return Part("Retention", f"The last runs. {told[0].upper()}{told[1:]}.", kind, word)


def _vendor(system: System) -> Part:
    standing: Standing | None = system.vendor.value
    if standing is None:
        return Part("Replicate", f"The budget is not known. {system.vendor.fault}.", "wait", "Not known")
    if standing.denial is not None:
        reason, opens_in = standing.denial
        line = f"Circuit open for {duration(opens_in.total_seconds())}: {reason}"
        return Part("Replicate", line, "bad", "Refuses")
    left = f"{standing.creates:,} of {standing.burst:,} creates may go at once; {standing.per_minute:,} a minute."
    if standing.blocked_for:
        line = f"Asked to wait {duration(standing.blocked_for.total_seconds())}. {left}"
        return Part("Replicate", line, "look", "Slowed")
    return Part("Replicate", f"Circuit closed. {left}", "ok", "Works")


def _store(finding: Finding, place: str) -> Part:
    if finding == UNKNOWN:
        return Part("Object store", f"{place}. Not tried yet.", "wait", "Not known")
    if finding.is_ok:
        return Part("Object store", f"{place}. A write and a read have succeeded.", "ok", "Works")
    return Part("Object store", f"{place}. {finding.reason}", "bad", finding.state.replace("_", " ").capitalize())


def _redis(system: System) -> Part:
    if system.processes.value is None:
        return Part("Redis", system.processes.fault, "look", "Away")
    if not system.redis.is_ok and system.redis != UNKNOWN:
        return Part("Redis", system.redis.reason or system.redis.state, "look", system.redis.state.capitalize())
    if not system.is_shared.value:
        return Part("Redis", "It answers, but limits are counted by each process alone.", "look", "Degraded")
    return Part("Redis", "Limits are exact over all processes.", "ok", "Works")


def _postgres(system: System) -> Part:
    if system.revisions.value is None:
        return Part("Postgres", system.revisions.fault, "bad", "Slow")
    current, newest = system.revisions.value
    if current == newest:
        return Part("Postgres", f"Migration {current}, up to date.", "ok", "Works")
    if current < newest:
        return Part("Postgres", f"Migration {current} of {newest}: run `junis migrate`.", "bad", "Behind")
    return Part("Postgres", f"Migration {current}, ahead of this process, which needs {newest}.", "ok", "Works")


def state_of(process: Process) -> tuple[str, str]:
    """The shape and the word of a process's state."""
    if process.is_silent:
        return "bad", "Silent"
    stalled = [name for name, runs in process.loops.items() if not runs]
    return ("look", f"Stalled: {', '.join(stalled)}") if stalled else ("ok", "Works")


def sorted_processes(processes: Sequence[Process]) -> list[Process]:
    """The processes, those with trouble first."""
    return sorted(processes, key=lambda process: _ORDER.index(state_of(process)[0]))


def bounded(number: int) -> str:
    """A number that was counted up to `MOST`."""
    return f"{MOST:,}+" if number > MOST else f"{number:,}"
