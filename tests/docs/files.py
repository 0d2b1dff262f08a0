"""The files that these tests read, as plain text."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCED = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a Markdown file: its info string and its content."""

    info: str
    code: str


def read(name: str) -> str:
    """The text of a file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str) -> list[Block]:
    """The fenced blocks of a Markdown file, in order."""
    return [Block(match["info"].strip(), match["code"]) for match in _FENCED.finditer(read(name))]


def block(name: str, info: str) -> str:
    """The content of the one fenced block with this mark in a Markdown file."""
    (code,) = [found.code for found in blocks(name) if found.info == info]
    return code
