"""The inputs of a request for embeddings: texts or lists of tokens, and how many tokens they can be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from app.chat_models.protocol import BYTES_PER_TOKEN
from app.core.concurrency import in_slices
from app.core.errors import InvalidRequestError

MOST_INPUTS = 2048
# What a model puts around an input: its marks of beginning and end, and those of its kind.
_FRAME_TOKENS = 16

Input = str | Sequence[int]


@dataclass(frozen=True)
class Inputs:
    """The inputs, one vector each.

    Attributes:
        values: texts, or lists of tokens.
        bound: the most tokens that each of them can be: a token of a text is at least one byte of UTF-8.
        estimate: how many tokens all of them probably are.
    """

    values: Sequence[Input]
    bound: Sequence[int]
    estimate: int

    @classmethod
    async def of(cls, given: Any) -> Self:
        """The inputs in any of the forms of OpenAI's API: a text, tokens, or a list of texts or of lists of tokens.

        Raises:
            InvalidRequestError: they are none.
        """
        values = [given] if isinstance(given, str) or _is_tokens(given) else given
        if given == "":
            raise InvalidRequestError("input: must not be empty", param="input")
        if not isinstance(values, list) or not 1 <= len(values) <= MOST_INPUTS:
            raise InvalidRequestError(
                f"input: must be a text, a list of tokens, or a list of 1 to {MOST_INPUTS} texts or lists of tokens",
                param="input",
            )
        is_text = isinstance(values[0], str)
        await in_slices(lambda place: _check(place, is_text=is_text), enumerate(values))
        sizes = await in_slices(_size, values)
        # Either all are texts or all are tokens.
        divisor = BYTES_PER_TOKEN if isinstance(values[0], str) else 1
        return cls(values, [size + _FRAME_TOKENS for size in sizes], sum(-(-size // divisor) for size in sizes))

    def most_tokens(self, parameters: Mapping[str, Any], tokens_of_one: int | None) -> int:
        """The most tokens that all of them can be together with the request's parameters.

        Args:
            parameters: what else of the request a model could read.
            tokens_of_one: the most that are paid for of one input; None if the catalog does not say it.
        """
        counts = self.bound if tokens_of_one is None else [min(each, tokens_of_one) for each in self.bound]
        return sum(counts) + len(counts) * sum(len(str(value).encode()) for value in parameters.values())


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(each) is int and each >= 0 for each in value)


def _check(place: tuple[int, Any], *, is_text: bool) -> None:
    index, value = place
    is_right = isinstance(value, str) and value != "" if is_text else _is_tokens(value)
    if not is_right:
        location, kind = f"input.{index}", "a text" if is_text else "a list of tokens"
        raise InvalidRequestError(f"{location}: must be {kind}, and not empty", param=location)


def _size(value: Input) -> int:
    return len(value.encode()) if isinstance(value, str) else len(value)
