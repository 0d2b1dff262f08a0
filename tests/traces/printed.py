"""Traces as trees of text."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from tests.traces.collector import Seen

_WIDTH = 120


def tree(spans: Sequence[Seen]) -> list[tuple[int, Seen]]:
    """Each span with its depth: below the one that it is within, and those of one level in the order of their begin."""
    known = {span.span_id for span in spans}
    return [pair for root in spans if root.parent_id not in known for pair in _branch(root, spans, 0)]


def _branch(top: Seen, spans: Sequence[Seen], depth: int) -> Iterator[tuple[int, Seen]]:
    yield depth, top
    for span in spans:
        if span.parent_id == top.span_id:
            yield from _branch(span, spans, depth + 1)


def printed(spans: Sequence[Seen]) -> str:
    """A trace with all that is said of its spans."""
    first = min(span.began_at for span in spans)
    lines: list[str] = []
    for depth, span in tree(spans):
        name = f"{'  ' * depth}{span.name}"
        began, took = (span.began_at - first) / 1e6, (span.ended_at - span.began_at) / 1e6
        lines.append(f"{name:52} {span.service:13} {span.kind:9} +{began:7.1f} {took:8.1f} ms")
        indent = "  " * (depth + 2)
        said = [f"{name}={_shown(value)}" for name, value in sorted(span.attributes.items())]
        said += [f"event {event}" for event in span.events] + [f"link to span {link}" for link in span.links]
        wrapped = wrap("  ".join(said), _WIDTH - len(indent), break_long_words=False, break_on_hyphens=False)
        lines += [f"{indent}{line}" for line in wrapped]
    return "\n".join(lines)


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
