"""The blocks of docs/rotation.md."""

import re
from collections.abc import Mapping

from tests.docs.files import blocks

PAGE = "docs/rotation.md"
_MARK = re.compile(r"sh rotate (?P<secret>[A-Z0-9_]+)(?P<away>, away)?")


def marked() -> Mapping[str, list[tuple[str, bool]]]:
    """By the secret, the blocks that change it, and whether a store is away during one."""
    found: dict[str, list[tuple[str, bool]]] = {}
    for each in blocks(PAGE):
        match = _MARK.fullmatch(each.info)
        assert match, each.info
        found.setdefault(match["secret"], []).append((each.code, bool(match["away"])))
    return found
