"""How a request continues a session: what a model reads, what is stored, and what it replaces."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from app.core.concurrency import in_slices
from app.sessions.echoes import Echo, Shown, as_shown, echo_of, in_groups, is_system
from app.sessions.messages import MessageRole, StoredMessage, WireMessage
from app.sessions.overlap import find_overlap


@dataclass(frozen=True)
class Continuation:
    """How a request continues a session.

    Attributes:
        leading: the request's system messages that come before everything else.
        history: the messages before the question, of which the newest are sent that fit.
        messages: the question: what the model is always sent.
        first_index: the index in the request of the first of `messages`.
        asked: what is stored of the request.
        superseded: the ids of the stored messages that the request replaces.
    """

    leading: Sequence[WireMessage]
    history: Sequence[WireMessage]
    messages: Sequence[WireMessage]
    first_index: int
    asked: Sequence[WireMessage]
    superseded: Sequence[int]


@dataclass(frozen=True)
class _Split:
    """A request that sends a conversation again.

    Attributes:
        sent: its messages.
        again: what is stored of them, by their indexes; system messages are not among them.
        begin: the index of the first message that is no system message.
        end: the index of the first message after those that are sent again.
    """

    sent: Sequence[WireMessage]
    again: Mapping[int, Shown]
    begin: int
    end: int

    def view(self, begin: int, end: int) -> Iterator[WireMessage]:
        """The messages from `begin` to `end`, and what the client does not know of them."""
        for index in range(begin, end):
            if index in self.again:
                yield from _as_sent(self.again[index], self.sent[index])
            else:
                yield self.sent[index]


async def continue_from(rows: Sequence[StoredMessage], sent: Sequence[WireMessage]) -> Continuation:
    """How the messages that were sent continue the stored ones that are in force, both in order.

    While it compares long conversations, other requests go on.
    """
    groups = in_groups(row for row in rows if not is_system(row.role))
    talk = [index for index, message in enumerate(sent) if not is_system(message["role"])]
    followed = len(talk) - (not talk or talk[-1] == len(sent) - 1)
    if followed < len(groups) and all(sent[index]["role"] != MessageRole.ASSISTANT for index in talk):
        # Neither an answer nor all that is stored can be in it. Most requests that name their session are like this.
        return Continuation((), _wire(rows), sent, 0, sent, ())
    shown = await in_slices(as_shown, groups)
    echoes = await in_slices(echo_of, [sent[index] for index in talk])
    overlap = find_overlap([each.echo for each in shown], echoes, followed)
    if overlap is None:
        return Continuation((), _wire(rows), sent, 0, sent, ())
    await asyncio.sleep(0)
    before, beyond = shown[: overlap.start], shown[overlap.start + overlap.length :]
    split = _Split(
        sent=sent,
        again=dict(zip(talk[: overlap.length], shown[overlap.start :], strict=False)),
        begin=talk[0],
        end=talk[overlap.length - 1] + 1 if overlap.length else talk[0],
    )
    return _continuation(split, _rows_of(before), _rows_of(beyond), [row for row in rows if is_system(row.role)])


def _continuation(
    split: _Split,
    before: Sequence[StoredMessage],
    beyond: Sequence[StoredMessage],
    stored_system: Sequence[StoredMessage],
) -> Continuation:
    """How a request that sends a conversation again continues it.

    Args:
        split: the request.
        before: the stored messages before those that are sent again.
        beyond: the stored messages after them.
        stored_system: the stored system messages.
    """
    sent = split.sent
    known, missing = _matched(_system_of(sent), stored_system)
    # A request may begin in the middle of the conversation. Then it does not say that it has dropped a prompt.
    is_part = bool(before) and not _system_of(sent)
    kept = [row for row in missing if is_part and row.id < _first_id(beyond)]
    dropped = {row.id for row in missing} - {row.id for row in kept}
    question = max(split.begin, min(split.end, _after_last_answer(sent)))
    new = list(_with_stored_ids(sent[split.end :], _stored_ids(split)))
    unknown = [message for index, message in _system_of(sent[: split.end]) if index not in known]
    return Continuation(
        leading=sent[: split.begin],
        history=[*_wire(sorted([*before, *kept], key=lambda row: row.id)), *split.view(split.begin, question)],
        messages=[*split.view(question, split.end), *new],
        first_index=question,
        asked=[*unknown, *(message for index, message in enumerate(new, split.end) if index not in known)],
        superseded=sorted({row.id for row in beyond} | dropped),
    )


def _first_id(rows: Sequence[StoredMessage]) -> float:
    return rows[0].id if rows else inf


def _after_last_answer(sent: Sequence[WireMessage]) -> int:
    answers = (index for index in reversed(range(len(sent))) if sent[index]["role"] == MessageRole.ASSISTANT)
    return next(answers, -1) + 1


def _wire(rows: Iterable[StoredMessage]) -> list[WireMessage]:
    return [row.in_wire_form() for row in rows]


def _rows_of(shown: Iterable[Shown]) -> list[StoredMessage]:
    return [row for each in shown for row in each.rows]


def _system_of(sent: Sequence[WireMessage]) -> list[tuple[int, WireMessage]]:
    return [(index, message) for index, message in enumerate(sent) if is_system(message["role"])]


def _matched(
    sent: Iterable[tuple[int, WireMessage]], stored: Sequence[StoredMessage]
) -> tuple[set[int], list[StoredMessage]]:
    """The indexes of the system messages of a request that are stored, and the stored ones that it does not have."""
    unmatched: defaultdict[Echo, list[StoredMessage]] = defaultdict(list)
    for row in reversed(stored):
        unmatched[echo_of(row.in_wire_form())].append(row)
    known: set[int] = set()
    for index, message in sent:
        if same := unmatched[echo_of(message)]:
            same.pop()
            known.add(index)
    return known, [row for rows in unmatched.values() for row in rows]


def _as_sent(shown: Shown, sent: WireMessage) -> list[WireMessage]:
    """What is stored of a message, with what the client has added to it: its model may need that.

    For example a signature beside a call, which the server does not store, or marks for the cache of prompts.
    """
    messages = [row.in_wire_form() for row in shown.rows]
    answering = next(message for message in reversed(messages) if message["role"] == sent["role"])
    if shown.rows[0].agent is None:
        answering["content"] = sent.get("content")
    if "tool_calls" in answering:
        sent_calls = dict(zip(shown.call_ids, sent.get("tool_calls") or (), strict=False))
        answering["tool_calls"] = [{**sent_calls.get(call.get("id"), {}), **call} for call in answering["tool_calls"]]
    answering.update({name: value for name, value in sent.items() if value and name not in answering})
    return list(messages)


def _stored_ids(split: _Split) -> dict[str, str]:
    """The ids that stored calls have, by those that the request gives to them."""
    return {
        call["id"]: stored_id
        for index, shown in split.again.items()
        for call, stored_id in zip(split.sent[index].get("tool_calls") or (), shown.call_ids, strict=False)
    }


def _with_stored_ids(new: Sequence[WireMessage], stored_ids: Mapping[str, str]) -> Iterator[WireMessage]:
    """New messages, whose results name the stored calls that they belong to."""
    renamed = dict(stored_ids)
    for message in new:
        for call in message.get("tool_calls") or ():
            renamed.pop(call.get("id"), None)
        call_id = message.get("tool_call_id")
        yield {**message, "tool_call_id": renamed[call_id]} if call_id in renamed else message
