"""A backup of the database, restored as docs/operations.md says."""

import pytest

from tests.deployment.stack import Stack
from tests.deployment.visitor import Visitor
from tests.docs.files import read

pytestmark = [pytest.mark.deployment, pytest.mark.thorough]

DUMP = "docker compose exec -T postgres pg_dump -U junis -Fc junis >junis.dump"
RESTORE = [
    "docker compose stop api worker",
    "docker compose exec -T postgres dropdb -U junis --force junis",
    "docker compose exec -T postgres createdb -U junis junis",
    "docker compose exec -T postgres pg_restore -U junis -d junis --no-owner --no-privileges --exit-on-error"
    " <junis.dump",
    "docker compose run --rm migrate",
    "docker compose up -d",
    "docker compose exec api junis verify-ledger",
]


def test_the_commands_are_those_of_the_documentation() -> None:
    assert DUMP in read("docs/operations.md").splitlines()
    assert "\n".join(RESTORE) in read("docs/operations.md")


def test_what_was_dumped_can_be_restored(stack: Stack, visitor: Visitor) -> None:
    picture = visitor.draw()
    stack.shell(DUMP)
    visitor.draw()

    stack.shell("\n".join(RESTORE))

    stack.wait_until_whole()
    assert visitor.fetch(picture.url) == picture
    visitor.draw()
    stack.junis("verify-ledger")
