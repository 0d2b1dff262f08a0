"""The smallest value that fits a JSON schema."""

import re
from dataclasses import dataclass
from typing import Any

from simulator.wire import Json, dump

_MAX_DEPTH = 8
# The characters that a value may have, beside one copy of the words, and what a value costs however short it is.
_MOST_CHARACTERS = 10_000_000
_COST_OF_VALUE = 1000
_NUMBER = re.compile(r"(?<![\w.])-?\d{1,9}(?![\w.]*\d)")
_SMALLEST: dict[str, Any] = {"boolean": True, "null": None}


class InvalidSchemaError(ValueError):
    """What should be a JSON schema is none, or describes more than anybody could want."""


@dataclass(slots=True)
class _Work:
    """A value that is being made: from which schema, of which words, and how many characters are left for it."""

    root: Json
    words: str
    left: int

    def spend(self, characters: int) -> None:
        self.left -= characters + _COST_OF_VALUE
        if self.left < 0:
            raise InvalidSchemaError


def instance(schema: Json, words: str) -> Any:
    """Make a value for a schema.

    Args:
        schema: JSON Schema; references to its own ``$defs`` are followed.
        words: What free strings are filled with.

    Raises:
        InvalidSchemaError: It is no schema, or its smallest value is huge.
    """
    try:
        return _instance(schema, _Work(schema, words, _MOST_CHARACTERS + len(words)), 0)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Nobody has checked it against the specification of schemas, so any part may be of any type.
        raise InvalidSchemaError from error


def _instance(schema: Json, work: _Work, depth: int) -> Any:
    schema = _resolved(schema, work.root)
    for keyword in ("const", "default"):
        if keyword in schema:
            return _given(schema[keyword], work)
    for keyword in ("enum", "examples"):
        if schema.get(keyword):
            return _given(schema[keyword][0], work)
    kind = _type(schema)
    if kind == "object":
        return _object(schema, work, depth)
    if kind == "array":
        return _array(schema, work, depth)
    return _scalar(kind, schema, work)


def _given(value: Any, work: _Work) -> Any:
    work.spend(len(dump(value)))
    return value


def _resolved(schema: Any, root: Json) -> Json:
    """Follow a reference, and take the first of several alternatives. A schema may also be just true."""
    for _ in range(_MAX_DEPTH):
        if schema is True:
            return {}
        if "$ref" in schema:
            schema = _referenced(str(schema["$ref"]), root)
        elif schema.get("anyOf") or schema.get("oneOf"):
            schema = (schema.get("anyOf") or schema["oneOf"])[0]
        elif schema.get("allOf"):
            first, *rest = schema["allOf"]
            schema = {**first, "allOf": rest} | {key: value for key, value in schema.items() if key != "allOf"}
        else:
            break
    found: Json = schema
    return found


def _referenced(pointer: str, root: Json) -> Json:
    node: Any = root
    for name in pointer.removeprefix("#").strip("/").split("/"):
        node = node.get(name, {}) if name else node
    found: Json = node
    return found


def _type(schema: Json) -> str:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return str(kind[0] if isinstance(kind, list) else kind)


def _object(schema: Json, work: _Work, depth: int) -> Json:
    properties: dict[str, Json] = schema.get("properties", {})
    # Without a list of what is required all of them are filled, or there would be nothing to look at.
    wanted = schema.get("required", list(properties))
    work.spend(sum(map(len, wanted)))
    if depth >= _MAX_DEPTH:
        return {}
    return {name: _instance(properties.get(name, {}), work, depth + 1) for name in wanted}


def _array(schema: Json, work: _Work, depth: int) -> list[Any]:
    count = int(schema.get("minItems", 1)) if depth < _MAX_DEPTH else 0
    work.spend(count)
    return [_instance(schema.get("items", {}), work, depth + 1) for _ in range(count)]


def _scalar(kind: str, schema: Json, work: _Work) -> Any:
    if kind in _SMALLEST:
        work.spend(0)
        return _SMALLEST[kind]
    if kind in {"integer", "number"}:
        work.spend(0)
        said = _said_number(schema, work.words)
        value = _smallest(schema) if said is None else said
        return int(value) if kind == "integer" else value
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    work.spend(max(least, len(work.words[:most])))
    return work.words.ljust(least, ".")[:most]


def _said_number(schema: Json, words: str) -> float | None:
    """The first number among the words, if the schema allows it."""
    found = _NUMBER.search(words)
    value = float(found[0]) if found else None
    return value if value is not None and _is_allowed(schema, value) else None


def _is_allowed(schema: Json, value: float) -> bool:
    return bool(
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and schema.get("exclusiveMinimum", value - 1) < value < schema.get("exclusiveMaximum", value + 1)
    )


def _smallest(schema: Json) -> float:
    least: float | None = schema.get("minimum", schema.get("exclusiveMinimum"))
    most: float | None = schema.get("maximum", schema.get("exclusiveMaximum"))
    if least is None or least < 0:
        return 1 if most is None else min(1, most)
    return least + 1 if "exclusiveMinimum" in schema and "minimum" not in schema else least
