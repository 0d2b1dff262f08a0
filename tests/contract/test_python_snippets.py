"""The snippets of the page of clients that need packages of their own work as written there."""

from pathlib import Path

import pytest

from tests.contract.environments import framework_environment, python_of
from tests.contract.runs import run_program
from tests.contract.snippets import PAGE, PYTHON
from tests.docs.files import block

# The first one waits for its environment to be installed.
pytestmark = pytest.mark.timeout(600)

SAID = {"python instructor": "title='Hello!' verses=1", "python smolagents": "Snow in"}


@pytest.mark.parametrize("mark", PYTHON)
def test_python(settings: dict[str, str], tmp_path: Path, mark: str) -> None:
    program = tmp_path / "snippet.py"
    program.write_text(block(PAGE, mark))

    printed = run_program([python_of(PYTHON[mark]), "-W", "ignore", program], tmp_path, settings=settings)

    assert SAID.get(mark, "You said: Hello!") in printed


def test_llm(settings: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "llm"
    folder.mkdir()
    entry = block(PAGE, "yaml llm").replace("https://junis.example", settings["JUNIS_URL"])
    (folder / "extra-openai-models.yaml").write_text(entry)
    program = framework_environment("small") / "bin" / "llm"
    here = {"LLM_USER_PATH": str(folder)}

    run_program([program, "keys", "set", "junis", "--value", settings["JUNIS_API_KEY"]], tmp_path, settings=here)
    printed = run_program([program, "-m", "junis", "Hello!"], tmp_path, settings=here)

    assert printed.endswith("You said: Hello!\n")
