"""A backup of a running stack, put back in place of later data and into a stack that has none."""

import pytest

from tests.deployment.stack import Stack
from tests.deployment.visitor import Visitor
from tests.docs.files import blocks

pytestmark = [pytest.mark.deployment, pytest.mark.thorough]


def documented(script: str) -> str:
    """The block of commands that runs a script."""
    [code] = [found.code for found in blocks("docs/operations.md") if f"deploy/{script}.sh" in found.code]
    return code


def test_what_was_kept_can_be_put_back(stack: Stack, visitor: Visitor) -> None:
    picture = visitor.draw()
    stack.shell(documented("backup"))
    visitor.draw()
    with pytest.raises(AssertionError, match="there is data in this stack already"):
        stack.shell("sh deploy/restore.sh backup")

    stack.shell(documented("restore"))

    stack.wait_until_whole()
    assert visitor.fetch(picture.url) == picture
    visitor.draw()
    stack.junis("verify-ledger")


def test_an_empty_stack_gets_all_of_it(stack: Stack, visitor: Visitor) -> None:
    pictures = [visitor.draw() for _ in range(3)]
    stack.shell(documented("backup"))
    stack.compose("down", "--volumes")

    stack.shell("sh deploy/restore.sh backup")

    stack.wait_until_whole()
    assert [visitor.fetch(picture.url) for picture in pictures] == pictures
    visitor.draw()


def test_a_file_that_is_missing_in_a_backup_is_told(stack: Stack, visitor: Visitor) -> None:
    visitor.draw()
    stack.shell(documented("backup"))
    kept = sorted(path for path in (stack.folder / "backup/objects/generation").rglob("*") if path.is_file())
    kept[0].unlink()
    stack.compose("down", "--volumes")

    with pytest.raises(AssertionError, match="Missing or other: 1"):
        stack.shell("sh deploy/restore.sh backup")

    stack.shell("docker compose up -d")
    stack.wait_until_whole()
