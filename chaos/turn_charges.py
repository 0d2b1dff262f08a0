"""Every chat is charged what its model calls cost by the vendor's log: once if it was answered, never for nothing."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from chaos.charged_chats import ChargedChat
from chaos.model_runs import NOTHING, Bounds, ModelRun
from chaos.strikes import Blow
from chaos.striking import Struck

# A client may notice so much later, in seconds, that its process was killed.
_NOTICED_WITHIN = 15.0

Assigned = dict[str, tuple[ModelRun, Bounds]]


@dataclass
class Verdict:
    """What the check of all chats has found.

    Attributes:
        violations: A sentence for each charge that is wrong or missing.
        exact: How many charges are exactly what the vendor reported.
        estimated: How many are within the bounds of an estimate.
        superseded: Runs that were free because another run with their Idempotency-Key was charged.
        lost: Model calls that died with their process before they were recorded.
        unread: Model calls that were answered, and that their turn did not wait for: its time was up, or its process
            slept.
        due: What the charged chats of each organization may cost.
    """

    violations: list[str] = field(default_factory=list)
    exact: int = 0
    estimated: int = 0
    superseded: int = 0
    lost: int = 0
    unread: int = 0
    due: defaultdict[str, Bounds] = field(default_factory=lambda: defaultdict(lambda: NOTHING))


def check_turns(chats: Sequence[ChargedChat], struck: Sequence[Struck]) -> Verdict:
    """Compare the charges of all chats with the vendor's log; `struck` says which processes were killed when."""
    verdict = Verdict()
    for chat in chats:
        verdict.violations += [f"chat {chat.marker}: {text}" for text in _answers(chat)]
        was_killed, was_cut = _was_killed(chat, struck), _was_cut(chat, struck)
        # Those that were answered first: they have the fewest runs that fit.
        turns = sorted(chat.charges, key=lambda turn: turn not in chat.answered)
        assigned = _assign(chat, turns, chat.runs, may_lose=was_killed or was_cut)
        if assigned is None:
            verdict.violations.append(f"chat {chat.marker}: {_wrong(chat)}")
        else:
            _count(chat, assigned, verdict, was_killed=was_killed)
            _judge_uncharged(chat, assigned, verdict, was_killed=was_killed, was_cut=was_cut)
    return verdict


def check_losses(verdict: Verdict, counted: int) -> list[str]:
    """What crashes have lost can be counted: no more than the model calls that were opened and have no event."""
    if verdict.lost <= counted:
        return []
    return [f"{verdict.lost} model calls were lost in crashes, {counted} are known to the holds"]


def _answers(chat: ChargedChat) -> Iterator[str]:
    """What is wrong with the answers: each is charged, and one request has one."""
    for turn in sorted(chat.answered - chat.charges.keys()):
        yield f"{turn} was answered and never charged"
    if len(chat.answered) > 1:
        yield f"{len(chat.answered)} turns have answered it"
    # A key is free again once the client was told of a failure. What had been used until then is charged.
    if len(chat.charges) > 1 + chat.failures:
        yield f"{len(chat.charges)} turns were charged, {chat.failures} requests had failed"


def _assign(chat: ChargedChat, turns: Sequence[str], runs: Sequence[ModelRun], *, may_lose: bool) -> Assigned | None:
    """A run of its own for each charged turn whose cost is what was charged; None if there is none."""
    if not turns:
        return {}
    turn, *others = turns
    for run in runs:
        cost = _fitting(chat, turn, run, may_lose=may_lose)
        if cost is None:
            continue
        further = _assign(chat, others, [other for other in runs if other is not run], may_lose=may_lose)
        if further is not None:
            return {turn: (run, cost), **further}
    return None


def _fitting(chat: ChargedChat, turn: str, run: ModelRun, *, may_lose: bool) -> Bounds | None:
    """What the run costs, if that was charged.

    If it was killed or cut, its last call may be missing. If its answer did not arrive as a whole, the last call may be
    an estimate: the server left before it had read what the vendor reported.
    """
    every = len(run.calls)
    fewest = every - 1 if may_lose and turn not in chat.answered and every > 1 else every
    costs = [run.cost(calls, chat.received(turn)) for calls in range(every, fewest - 1, -1)]
    if turn not in chat.answered:
        costs.append(run.cost(every, chat.received(turn), is_cut=True))
    return next((cost for cost in costs if chat.charges[turn] in cost), None)


def _count(chat: ChargedChat, assigned: Assigned, verdict: Verdict, *, was_killed: bool) -> None:
    for turn, (run, cost) in assigned.items():
        verdict.due[chat.organization_id] += cost
        verdict.exact += cost.is_exact
        verdict.estimated += not cost.is_exact
        is_missing = cost.most < run.cost(len(run.calls), chat.received(turn)).least
        verdict.lost += is_missing and was_killed
        verdict.unread += is_missing and not was_killed


def _judge_uncharged(
    chat: ChargedChat, assigned: Assigned, verdict: Verdict, *, was_killed: bool, was_cut: bool
) -> None:
    charged = [run for run, _ in assigned.values()]
    for run in chat.runs:
        if any(run is other for other in charged) or run.cost(len(run.calls), chat.received()).least == 0:
            continue
        if charged and len(chat.sent) > 1:
            verdict.superseded += 1
        elif was_killed and len(run.calls) == 1:
            verdict.lost += 1
        elif was_cut and len(run.calls) == 1:
            verdict.unread += 1
        else:
            cost = run.cost(len(run.calls), chat.received())
            verdict.violations.append(
                f"chat {chat.marker}: model calls for {cost.least} to {cost.most} were never charged,"
                f" {run.finished} of {len(run.calls)} finished"
            )


def _was_killed(chat: ChargedChat, struck: Sequence[Struck]) -> bool:
    """Whether the process that a request of the chat was sent to was killed meanwhile."""
    kills = [blow for blow in struck if blow.kind.blow is Blow.KILL]
    return any(
        blow.kind.victim == sent.api and sent.at - 1 <= blow.at <= sent.until + _NOTICED_WITHIN
        for blow in kills
        for sent in chat.sent
    )


def _was_cut(chat: ChargedChat, struck: Sequence[Struck]) -> bool:
    """Whether a turn of the chat may not have waited for its model: its time was up, or its process slept."""
    sleeps = [blow for blow in struck if blow.kind.blow in {Blow.SLEEP, Blow.LONG_SLEEP}]
    return any(sent.status == HTTPStatus.GATEWAY_TIMEOUT for sent in chat.sent) or any(
        blow.kind.victim == sent.api and sent.at <= blow.until and blow.at <= sent.until
        for blow in sleeps
        for sent in chat.sent
    )


def _wrong(chat: ChargedChat) -> str:
    charged = ", ".join(f"{turn} {amount}" for turn, amount in chat.charges.items())
    costs = [run.cost(len(run.calls), chat.received()) for run in chat.runs]
    priced = ", ".join(f"{cost.least} to {cost.most}" for cost in costs) or "nothing"
    told = ", ".join(str(sent.status) for sent in chat.sent)
    return f"charged {charged}; by the vendor's log its model calls cost {priced}; the client was told {told}"
