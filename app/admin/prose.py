"""What somebody has written, as paragraphs, code and links: pure values, which templates escape.

Only addresses of http and https become links, and nothing is loaded from them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_FENCE: Final = "```"
# Bounded, so that no text takes more than its length.
_LINK: Final = re.compile(
    r"!?\[(?P<label>[^\[\]\n]{0,200})\]\((?P<target>https?://[^\s()<>\"']{1,2000})\)|(?P<bare>https?://[^\s()<>\"'\[\]]{1,2000})"
)
# What ends a sentence is no part of an address that stands in it.
_AFTER_ADDRESS: Final = ".,;:!?*_`"


@dataclass(frozen=True)
class Piece:
    """A piece of a paragraph: a text, which leads to an address if it is a link."""

    text: str
    href: str | None = None


@dataclass(frozen=True)
class Block:
    """A paragraph, or a block of code."""

    pieces: tuple[Piece, ...]
    is_code: bool = False


def blocks_of(text: str) -> list[Block]:
    """The text as paragraphs, which empty lines divide, and blocks of code."""
    blocks: list[Block] = []
    for index, stretch in enumerate(text.split(_FENCE)):
        if index % 2:
            language, line_end, code = stretch.partition("\n")
            code = code if line_end and len(language) < 32 else stretch
            if code.strip():
                blocks.append(Block((Piece(code.rstrip("\n")),), is_code=True))
        else:
            blocks += [Block(tuple(_pieces(each.strip("\n")))) for each in _paragraphs(stretch)]
    return blocks


def cut(text: str, most: int) -> str:
    """The text, or its beginning with an ellipsis if it is longer."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _paragraphs(text: str) -> Iterator[str]:
    return (each for each in re.split(r"\n[ \t]*\n", text) if each.strip())


def _pieces(paragraph: str) -> Iterator[Piece]:
    end = 0
    for found in _LINK.finditer(paragraph):
        if found.start() > end:
            yield Piece(paragraph[end : found.start()])
        end = found.end()
        target = found["target"]
        if target is not None:
            yield Piece(found["label"].strip() or target, target)
            continue
        bare = found["bare"]
        address = bare.rstrip(_AFTER_ADDRESS)
        yield Piece(address, address)
        if rest := bare[len(address) :]:
            yield Piece(rest)
    if end < len(paragraph):
        yield Piece(paragraph[end:])
