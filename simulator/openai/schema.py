"""The smallest value that fits a JSON schema."""

import re
from typing import Any

from simulator.wire import Json

_MAX_DEPTH = 8
_NUMBER = re.compile(r"(?<![\w.])-?\d{1,9}(?![\w.]*\d)")
_SMALLEST: dict[str, Any] = {"boolean": True, "null": None}


def instance(schema: Json, words: str) -> Any:
    """Make a value for a schema.

    Args:
        schema: JSON Schema; references to its own ``$defs`` are followed.
        words: What free strings are filled with.
    """
    return _instance(schema, words, schema, 0)


def _instance(schema: Json, words: str, root: Json, depth: int) -> Any:
    schema = _resolved(schema, root)
    for keyword in ("const", "default"):
        if keyword in schema:
            return schema[keyword]
    for keyword in ("enum", "examples"):
        if schema.get(keyword):
            return schema[keyword][0]
    kind = _type(schema)
    if kind == "object":
        return _object(schema, words, root, depth)
    if kind == "array":
        return _array(schema, words, root, depth)
    return _scalar(kind, schema, words)


def _resolved(schema: Json, root: Json) -> Json:
    """Follow a reference, and take the first of several alternatives."""
    for _ in range(_MAX_DEPTH):
        if "$ref" in schema:
            schema = _referenced(str(schema["$ref"]), root)
        elif schema.get("anyOf") or schema.get("oneOf"):
            schema = (schema.get("anyOf") or schema["oneOf"])[0]
        elif schema.get("allOf"):
            first, *rest = schema["allOf"]
            schema = {**first, "allOf": rest} | {key: value for key, value in schema.items() if key != "allOf"}
        else:
            break
    return schema


def _referenced(pointer: str, root: Json) -> Json:
    node: Any = root
    for name in pointer.removeprefix("#").strip("/").split("/"):
        node = node.get(name, {}) if name else node
    found: Json = node
    return found


def _type(schema: Json) -> str:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return str(kind[0] if isinstance(kind, list) else kind)


def _object(schema: Json, words: str, root: Json, depth: int) -> Json:
    properties: dict[str, Json] = schema.get("properties", {})
    # Without a list of what is required all of them are filled, or there would be nothing to look at.
    wanted = schema.get("required", list(properties))
    if depth >= _MAX_DEPTH:
        return {}
    return {name: _instance(properties.get(name, {}), words, root, depth + 1) for name in wanted}


def _array(schema: Json, words: str, root: Json, depth: int) -> list[Any]:
    count = int(schema.get("minItems", 1)) if depth < _MAX_DEPTH else 0
    return [_instance(schema.get("items", {}), words, root, depth + 1) for _ in range(count)]


def _scalar(kind: str, schema: Json, words: str) -> Any:
    if kind in _SMALLEST:
        return _SMALLEST[kind]
    if kind in {"integer", "number"}:
        said = _said_number(schema, words)
        value = _smallest(schema) if said is None else said
        return int(value) if kind == "integer" else value
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    return words.ljust(least, ".")[:most]


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
