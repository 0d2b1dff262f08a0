"""What an upstream has answered to a request for embeddings, read in steps.

An answer of 2,048 vectors has millions of numbers. No parser lets go of the interpreter's lock, so it is not parsed as
a whole: the objects of its list are cut out and read one by one, and then what is left.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.chat_models.usage import parse_report
from app.core.errors import ProviderError
from app.embeddings.vectors import Vector, read_vector

# An object without objects in it. What has an embedding is one; so are most usages.
_FLAT = re.compile(rb"\{[^{}]*\}")
_MARK = b'"embedding":'
_MARK_WITH_SPACE = re.compile(rb'"embedding"\s*:')


@dataclass(frozen=True)
class EmbeddingsAnswer:
    """The vectors in the order of the inputs, and the tokens that the upstream has counted; None if it has not."""

    vectors: Sequence[Vector]
    tokens: int | None


async def read_answer(body: bytes, inputs: int) -> EmbeddingsAnswer:
    """Read the answer to a request with so many inputs. Other tasks run between its vectors.

    Raises:
        ProviderError: it is no such answer, or has not one vector for each input.
    """
    vectors: dict[int, Vector] = {}
    rest: list[bytes] = []
    end = 0
    for match in _FLAT.finditer(body):
        if _MARK in match[0] or _MARK_WITH_SPACE.search(match[0]):
            index, vector = _entry(match[0], len(vectors))
            vectors[index] = vector
            rest += [body[end : match.start()], b"null"]
            end = match.end()
            await asyncio.sleep(0)
    document = _object(b"".join([*rest, body[end:]]))
    data = document.get("data")
    is_whole = isinstance(data, list) and data == [None] * inputs and sorted(vectors) == list(range(inputs))
    if not is_whole:
        raise ProviderError("The model provider sent not one vector for each input")
    return EmbeddingsAnswer([vectors[index] for index in range(inputs)], _tokens(document))


def _entry(text: bytes, position: int) -> tuple[int, Vector]:
    entry = _object(text)
    index = entry.get("index", position)
    if not isinstance(index, int):
        raise ProviderError("The model provider sent an answer that cannot be read")
    return index, read_vector(entry.get("embedding"))


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise ProviderError("The model provider sent an answer that cannot be read")
    return value


def _tokens(document: dict[str, Any]) -> int | None:
    usage = document.get("usage")
    if isinstance(usage, dict) and usage.get("prompt_tokens") is None and usage.get("total_tokens") is not None:
        # Some servers count only the total, of which all are the prompt's.
        document = {"usage": {"prompt_tokens": usage["total_tokens"]}}
    report = parse_report(document)
    return report.prompt_tokens if report else None
