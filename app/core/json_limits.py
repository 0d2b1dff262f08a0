"""What JSON may consist of so that it takes little time to read, counted in its bytes before it is parsed.

A parser makes an object of every value, and everything that is done with a request afterwards visits each of them. Ten
megabytes of `[],` are three million of them and hold the event loop for seconds; ten megabytes of text are one. No
parser lets go of the interpreter's lock, so another thread would hold the others up as well.
"""

from collections.abc import Generator

# Values: each item of a list, each member of an object, each list and object.
MOST_VALUES = 60_000
# Backslashes: each escape costs as much as a hundred plain characters, when it is read and when it is written.
MOST_ESCAPES = 1_000_000
# A longer integer is too large for a float; converting its digits takes time that grows with their square.
MOST_DIGITS = 309

_AS_ZERO = bytes.maketrans(b"123456789", b"0" * 9)


class CostlyJsonError(ValueError):
    """JSON that would take too long to read. Its text says why, without a subject."""


def check_cost(text: bytes) -> None:
    """Check how much work a JSON text is, without parsing it. What is no JSON may pass: the parser refuses it soon.

    Raises:
        CostlyJsonError: it has more values, escapes or digits in a number than the above.
    """
    for _ in cost_checks(text):
        pass


def cost_checks(text: bytes) -> Generator[None, None, int]:
    """`check_cost` in steps, none of which takes longer than 40 ms. Returns how many values there are at most.

    Raises:
        CostlyJsonError: see `check_cost`.
    """
    if len(text) <= MOST_VALUES:
        return _values(text)
    escapes = text.count(b"\\")
    if escapes > MOST_ESCAPES:
        raise CostlyJsonError(f"has more than {MOST_ESCAPES:,} escaped characters")
    yield
    values = _values(text)
    yield
    has_long_number = _has_long_number(text)
    yield
    # Most texts have few of all this even if what is inside of strings is counted as well.
    if values > MOST_VALUES or has_long_number:
        outside = yield from _outside_of_strings(text, has_escapes=escapes > 0)
        values = _values(outside)
        if values > MOST_VALUES:
            raise CostlyJsonError(f"has more than {MOST_VALUES:,} values")
        if has_long_number and _has_long_number(outside):
            raise CostlyJsonError(f"has a number of more than {MOST_DIGITS} digits")
    return values


def has_nul(text: bytes) -> bool:
    """Whether a string in this JSON text holds a NUL character, which is written as an escape."""
    first = text.find(b"\\u0000")
    if first < 0:
        return False
    # An even number of backslashes before it are escaped ones. Most have none.
    return text[first - 1 : first] != b"\\" or b"\\u0000" in text.replace(b"\\\\", b"")


def has_long_integer(text: bytes) -> bool:
    """Whether this JSON text may hold an integer of more than 64 bits: it has this many digits in a row."""
    return b"0" * 19 in text.translate(_AS_ZERO)


def _values(text: bytes) -> int:
    return 1 + text.count(b",") + text.count(b"[") + text.count(b"{")


def _has_long_number(text: bytes) -> bool:
    return b"0" * (MOST_DIGITS + 1) in text.translate(_AS_ZERO)


def _outside_of_strings(text: bytes, *, has_escapes: bool) -> Generator[None, None, bytes]:
    """The text without its strings, in steps.

    Raises:
        CostlyJsonError: it has so many strings that it has too many values.
    """
    if has_escapes:
        text = text.replace(b"\\\\", b"")
        yield
        text = text.replace(b'\\"', b"")
        yield
    if text.count(b'"') // 2 > 2 * MOST_VALUES:  # each member of an object has at most two
        raise CostlyJsonError(f"has more than {MOST_VALUES:,} values")
    yield
    outside = b"".join(text.split(b'"')[::2])
    yield
    return outside
