"""Vectors of numbers in the two forms that clients and upstreams use: lists of floats, and base64 of their bytes."""

import base64
import binascii
import math
import sys
from array import array
from collections.abc import Sequence
from typing import Any, Literal

import orjson

from app.core.errors import ProviderError

EncodingFormat = Literal["float", "base64"]
# A vector as it is kept: 32-bit floats, little-endian, which is what OpenAI's base64 holds.
Vector = bytes

FLOAT_BYTES = 4


def read_vector(value: Any) -> Vector:
    """A vector in either form.

    Raises:
        ProviderError: it is neither.
    """
    vector = _of_base64(value) if isinstance(value, str) else _of_floats(value)
    if not vector or len(vector) % FLOAT_BYTES or not _is_finite(vector):
        raise ProviderError("The model provider sent a vector that cannot be read")
    return vector


def write_vector(vector: Vector, form: EncodingFormat) -> bytes:
    """The vector as JSON."""
    if form == "base64":
        return b'"' + base64.b64encode(vector) + b'"'
    return orjson.dumps(_swapped(array("f", vector)).tolist())


def _is_finite(vector: Vector) -> bool:
    """Whether all of its numbers are: JSON knows no others, and none of them can be compared with."""
    # No sum of finite 32-bit floats is too large for Python's, and one that is not finite makes the sum like it.
    return math.isfinite(sum(_swapped(array("f", vector))))


def _of_base64(text: str) -> Vector:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _of_floats(numbers: Sequence[Any]) -> Vector:
    try:
        return _swapped(array("f", numbers)).tobytes()
    except (TypeError, ValueError, OverflowError):
        return b""


def _swapped(numbers: "array[float]") -> "array[float]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
