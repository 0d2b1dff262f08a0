from pathlib import Path

import pytest

from app.agents.repository import list_agents
from app.cli.transaction import in_transaction
from tests.cli.conftest import Junis

AGENTS = """
[[agents]]
name = "poet"
instruction = "Answer in verse."
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "agents.toml"
    path.write_text(AGENTS)
    return path


def instructions(organization_id: str) -> dict[str, str]:
    return {agent.name: agent.instruction for agent in in_transaction(list_agents, organization_id)}


def test_agents_are_added_to_the_organization_with_that_name(acme: str, junis: Junis, file: Path) -> None:
    imported = junis("agents", "import", str(file), "--org", "Acme")

    assert (imported.status, imported.stderr) == (0, "Imported 1 agents\n")
    assert set(instructions(acme)) == {"orchestrator", "poet", "writer"}


def test_agents_are_changed_in_the_organization_with_that_id(acme: str, junis: Junis, file: Path) -> None:
    junis("agents", "import", str(file), "--org", acme)
    file.write_text(AGENTS.replace("verse", "prose"))

    junis("agents", "import", str(file), "--org", acme)

    assert instructions(acme)["poet"] == "Answer in prose."


def test_another_organization_is_not_changed(acme: str, junis: Junis, file: Path) -> None:
    created = junis("orgs", "create", "--name", "Other", "--plan", "pro", "--owner-email", "ada@acme.example")

    junis("agents", "import", str(file), "--org", "Acme")

    assert set(instructions(created.stdout.strip())) == {"orchestrator", "writer"}


def test_an_unknown_organization_is_refused(acme: str, junis: Junis, file: Path) -> None:
    refused = junis("agents", "import", str(file), "--org", "Nobody")

    assert (refused.status, refused.stderr) == (1, "error: Organization not found: Nobody\n")


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        ("[agents", "Not a TOML file"),
        (AGENTS + 'tools = ["rm"]', "poet: unknown tool rm"),
        (AGENTS + 'sub_agents = ["ghost"]', "there is no agent ghost"),
    ],
)
def test_if_part_of_a_file_is_bad_nothing_of_it_is_imported(
    acme: str, junis: Junis, file: Path, content: str, refusal: str
) -> None:
    file.write_text(content)

    refused = junis("agents", "import", str(file), "--org", "Acme")

    assert refused.status == 1
    assert refusal in refused.stderr
    assert set(instructions(acme)) == {"orchestrator", "writer"}


def test_an_export_can_be_imported_again(acme: str, junis: Junis, file: Path, tmp_path: Path) -> None:
    junis("agents", "import", str(file), "--org", "Acme")

    printed = junis("agents", "export", "--org", "Acme")
    written = junis("agents", "export", "--org", "Acme", str(tmp_path / "all.toml"))
    again = junis("agents", "import", str(tmp_path / "all.toml"), "--org", "Acme")

    assert (printed.status, written.status, written.stdout) == (0, 0, "")
    assert printed.stdout == (tmp_path / "all.toml").read_text()
    assert again.stderr == "Imported 3 agents\n"
    assert instructions(acme)["poet"] == "Answer in verse."
