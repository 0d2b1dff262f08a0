"""What others have written becomes paragraphs, code and links of http and https, and nothing else."""

import time

import pytest

from app.admin.prose import Block, Piece, blocks_of, cut


def links(text: str) -> list[tuple[str, str]]:
    return [(piece.text, piece.href) for block in blocks_of(text) for piece in block.pieces if piece.href]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see https://a.example/x?y=1.", [("https://a.example/x?y=1", "https://a.example/x?y=1")]),
        ("![image](http://a.example/p.png)", [("image", "http://a.example/p.png")]),
        ("[](http://a.example)", [("http://a.example", "http://a.example")]),
        ("[x](javascript:alert(1))", []),
        ("[x](data:text/html,hello) ftp://a.example //a.example", []),
        ('https://a.example/"onclick="x', [("https://a.example/", "https://a.example/")]),
        ("JAVASCRIPT:https://a.example", [("https://a.example", "https://a.example")]),
    ],
    ids=["bare", "image", "no-label", "script", "other-schemes", "quotes", "behind-another"],
)
def test_only_http_becomes_a_link(text: str, found: list[tuple[str, str]]) -> None:
    assert links(text) == found


def test_the_text_stays_whole() -> None:
    text = "a [b](http://c.example), d\ne"

    (block,) = blocks_of(text)

    assert "".join(piece.text for piece in block.pieces) == "a b, d\ne"


def test_paragraphs_and_code() -> None:
    blocks = blocks_of("one\n\n\ntwo\n```python\nprint('http://x.example')\n```\nthree ``` four")

    assert blocks == [
        Block((Piece("one"),)),
        Block((Piece("two"),)),
        Block((Piece("print('http://x.example')"),), is_code=True),
        Block((Piece("three "),)),
        Block((Piece(" four"),), is_code=True),
    ]


@pytest.mark.parametrize("text", ["[" * 60_000, "![a](" * 12_000, "http://" * 9_000, "\n \n" * 20_000, "```" * 20_000])
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()

    blocks_of(text)

    assert time.process_time() - began < 1


def test_cut() -> None:
    assert cut("short", 5) == "short"
    assert cut("longer", 5) == "long…"
