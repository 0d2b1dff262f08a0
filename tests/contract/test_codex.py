"""OpenAI's Codex, set up as the page of clients says, does what the model asks for in a folder of its own.

The simulator plays the model: it has the commands run that the words hold. `FULL=1` runs this file: its package is big.
"""

import base64
import json
from pathlib import Path

import pytest

from tests.conftest import Stack
from tests.contract.accounts import Account
from tests.contract.clients.frameworks.case import PICTURE
from tests.contract.environments import node_modules_of
from tests.contract.runs import run_program
from tests.contract.snippets import PAGE
from tests.docs.files import block

# The first one waits for the package to be installed.
pytestmark = pytest.mark.timeout(600)

NOTE = "forty-two lighthouses"
# What Codex's own sandbox needs is missing in many containers. The commands are the tests' own.
UNCONFINED = ("--skip-git-repo-check", "--sandbox", "danger-full-access")
PATCH = """apply_patch <<'EOF'
*** Begin Patch
*** Update File: copy.txt
@@
-{before}
+{after}
*** End Patch
EOF"""


class Codex:
    """The program with a home and a folder to work in.

    Attributes:
        folder: where it works.
    """

    def __init__(self, place: Path, settings: dict[str, str]) -> None:
        node = node_modules_of("codex")
        self._program: list[str | Path] = [
            node.program,
            node.modules / "@openai" / "codex" / "bin" / "codex.js",
            "exec",
        ]
        self._settings = settings
        home = place / ".codex"
        home.mkdir()
        (home / "config.toml").write_text(
            block(PAGE, "toml codex").replace("https://junis.example", settings["JUNIS_URL"])
        )
        self.folder = place / "work"
        self.folder.mkdir()

    def work(self, *arguments: str, **settings: str) -> str:
        """What it prints at last, after it has worked.

        Raises:
            RuntimeError: it has not ended well.
        """
        command = [*self._program, *arguments]
        here = {**self._settings, "CODEX_HOME": str(self.folder.parent / ".codex"), **settings}
        return run_program(command, self.folder, settings=here)


@pytest.fixture
def codex(tmp_path: Path, settings: dict[str, str]) -> Codex:
    return Codex(tmp_path, settings)


def test_it_reads_a_file_and_writes_and_patches_another(codex: Codex) -> None:
    (codex.folder / "note.txt").write_text(NOTE)
    patch = PATCH.format(before=NOTE, after=NOTE.upper())
    words = f"Run `cat note.txt`, then run `printf '%s\\n' <result> > copy.txt`, then run `{patch}`"

    printed = codex.work(*UNCONFINED, words)

    assert (codex.folder / "copy.txt").read_text() == f"{NOTE.upper()}\n"
    assert "Success. Updated the following files" in printed


def test_it_goes_on_with_what_was_said(codex: Codex, stack: Stack) -> None:
    codex.work(*UNCONFINED, "Run `echo once-upon-a-time`")

    codex.work("resume", "--last", "--skip-git-repo-check", "And now?")

    sent = [entry["request"]["messages"] for entry in stack.simulator.log("chat")]
    (last,) = [messages for messages in sent if "And now?" in str(messages[-1]["content"])]
    calls = [call for message in last for call in message.get("tool_calls", [])]
    results = [message["content"] for message in last if message["role"] == "tool"]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [{"cmd": "echo once-upon-a-time"}]
    assert "once-upon-a-time" in results[0]


def test_its_answer_has_the_form_that_is_asked_for(codex: Codex) -> None:
    schema = {
        "type": "object",
        "properties": {"title": {"type": "string"}},
        "required": ["title"],
        "additionalProperties": False,
    }
    (codex.folder / "form.json").write_text(json.dumps(schema))

    printed = codex.work(*UNCONFINED, "--output-schema", "form.json", "What is this?")

    assert json.loads(printed) == {"title": "What is this?"}


def test_the_model_sees_the_pictures_that_it_looks_at(codex: Codex, stack: Stack) -> None:
    (codex.folder / "view_image.png").write_bytes(base64.b64decode(PICTURE))

    codex.work(*UNCONFINED, "view_image.png")

    sent = [entry["request"]["messages"] for entry in stack.simulator.log("chat")]
    assert any(
        "data:image/png;base64," in json.dumps(messages) for messages in sent if "view_image.png" in str(messages)
    )


def test_a_refusal_is_told_as_the_server_says_it(codex: Codex, account: Account) -> None:
    with pytest.raises(RuntimeError, match="Invalid API key"):
        codex.work(*UNCONFINED, "Hello!", JUNIS_API_KEY=account.keys["unknown"])
