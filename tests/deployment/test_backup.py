"""A backup of the database, restored by the commands of docs/operations.md."""

import pytest

from tests.deployment.stack import Stack
from tests.deployment.visitor import Visitor
from tests.docs.files import blocks

pytestmark = [pytest.mark.deployment, pytest.mark.thorough]


def documented(program: str) -> str:
    """The block of commands that uses a program."""
    [code] = [found.code for found in blocks("docs/operations.md") if f" {program} " in found.code]
    return code


def test_what_was_dumped_can_be_restored(stack: Stack, visitor: Visitor) -> None:
    picture = visitor.draw()
    stack.shell(documented("pg_dump"))
    visitor.draw()

    stack.shell(documented("pg_restore"))

    stack.wait_until_whole()
    assert visitor.fetch(picture.url) == picture
    visitor.draw()
    stack.junis("verify-ledger")
