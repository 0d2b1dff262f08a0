"""The marked blocks of docs/operations.md."""

from tests.docs.files import Block, blocks

PAGE = "docs/operations.md"


def marked(mark: str) -> list[Block]:
    """The blocks with this mark, in their order."""
    return [found for found in blocks(PAGE) if found.info == mark]
