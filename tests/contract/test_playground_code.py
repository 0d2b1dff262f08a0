"""The programs that the playground shows run as they are shown, and say what the playground says."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path

import pytest

from app.core.database import Database
from tests.admin.conftest import Browser, let_owner_sign_in
from tests.admin.playing import fields, stream_turn, words_of
from tests.agents.definitions import make_host
from tests.conftest import Stack
from tests.contract.environments import Node
from tests.factories import Organization

# What a shell, Python and JavaScript would each read in their own way.
WORDS = 'It\'s $HOME and `id` and "quoted" and \\n and ${x}\nEOF\nsay done-with-it'


@pytest.fixture
async def host(database: Database) -> Organization:
    return await make_host(database)


@pytest.fixture
async def owner(stack: Stack, database: Database, host: Organization) -> AsyncIterator[Browser]:
    email = await let_owner_sign_in(database, host)
    async with Browser(stack, email=email, organization=host) as browser:
        assert (await browser.sign_in()).status_code == 303
        yield browser


async def sample_of(browser: Browser, form: dict[str, str], name: str) -> str:
    """The program of that name in the page's code."""
    page = (await browser.submit("/playground/code", **form)).text
    names = re.findall(r'<label for="sample-\d">(\w+)</label>', page)
    texts = re.findall(r'<pre [^>]*id="sample-text-\d">(.*?)</pre>', page, re.DOTALL)
    return unescape(dict(zip(names, texts, strict=True))[name])


async def run(program: list[str], text: str | None, key: str, folder: Path) -> str:
    """What a program prints that ends well, with the key in its environment."""
    environment = {"PATH": os.environ["PATH"], "JUNIS_API_KEY": key}
    running = await asyncio.create_subprocess_exec(
        *program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        cwd=folder,
    )
    out, errors = await asyncio.wait_for(running.communicate(text.encode() if text else None), 120)
    assert running.returncode == 0, errors.decode()
    return out.decode()


@pytest.mark.parametrize("protocol", ["chat", "responses"])
@pytest.mark.parametrize("is_continued", [False, True], ids=["new-session", "continued"])
@pytest.mark.parametrize("name", ["curl", "Python", "Node"])
async def test_it_runs_as_it_is_shown(
    owner: Browser,
    host: Organization,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    name: str,
    is_continued: bool,
    protocol: str,
) -> None:
    form = fields(
        WORDS, temperature="0.5", more='{"seed": 7, "top_k": 4, "parallel_tool_calls": true}', protocol=protocol
    )
    answer = words_of(await stream_turn(owner, form | ({} if is_continued else {"session": "another"})))

    text = await sample_of(owner, form, name)
    if name == "curl":
        if shutil.which("curl") is None:
            pytest.skip("curl is not installed")
        printed = await run(["sh", "-e"], text, host.api_key, tmp_path)
        assert ("data: [DONE]" if protocol == "chat" else "event: response.completed") in printed
        assert all(f'"{word} ' in printed or f'{word}"' in printed for word in ["done-with-it"])
    elif name == "Python":
        assert await run([sys.executable, "-"], text, host.api_key, tmp_path) == f"{answer}\n"
    else:
        node: Node = request.getfixturevalue("node")
        folder: Path = request.getfixturevalue("node_folder")
        program = folder / f"playground-{is_continued}-{protocol}.mjs"
        program.write_text(text)
        assert await run([str(node.program), str(program)], None, host.api_key, folder) == f"{answer}\n"


async def test_the_code_of_an_agent_and_its_tools_runs(owner: Browser, host: Organization, tmp_path: Path) -> None:
    tool = '{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}'

    text = await sample_of(owner, fields("say hello", agent="host", tools=tool), "Python")

    assert 'model="agent/host"' in text
    assert (await run([sys.executable, "-"], text, host.api_key, tmp_path)).endswith("You said: say hello\n")
