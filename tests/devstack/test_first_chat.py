"""The quickstart with a chat model server of the operator's own: the first chat is answered."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.ports import free_port
from tests.chat_server import ChatServer, chat_server
from tests.devstack.test_quickstart import Quickstart, ask, launch


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


@pytest.fixture(scope="module")
def running(server: ChatServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quickstart]:
    """Only the address is set: the server wants no key, and is asked for its model."""
    folder = tmp_path_factory.mktemp("first-chat")
    quickstart = launch(folder, free_port(), LLM_BASE_URL=server.base_url)
    quickstart.wait_until_ready()
    yield quickstart
    quickstart.process.terminate()
    quickstart.process.wait()


def test_the_first_chat_is_answered_by_the_servers_model_and_costs_nothing(
    running: Quickstart, server: ChatServer
) -> None:
    with running.client() as client:
        answer = ask(client, "Hello")
        credits_left = client.get("/credits").json()["available"]

    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "OK."
    assert {call["model"] for call in server.calls} == {"llama"}
    assert credits_left == 100
    assert f"Chat model  real: llama at {server.base_url}" in running.output


def test_the_printed_command_sets_a_price_at_once(running: Quickstart) -> None:
    (line,) = [line.strip() for line in running.output.splitlines() if "catalog price" in line]
    command = line.replace("--prompt …", "--prompt 1000").replace("--completion …", "--completion 10000")

    done = subprocess.run(["sh", "-c", command], cwd=running.folder, capture_output=True, text=True, check=False)
    with running.client() as client:
        answer = ask(client, "Hello")
        credits_left = client.get("/credits").json()["available"]

    assert done.returncode == 0, done.stderr
    assert answer.status_code == 200
    # 7 tokens of prompt and 3 of the answer.
    assert credits_left == pytest.approx(100 - 0.007 - 0.03, abs=1e-9)


def test_a_model_that_refuses_tools_answers_without_the_servers_and_not_without_the_clients(
    running: Quickstart, server: ChatServer
) -> None:
    server.takes_tools = False
    messages = [{"role": "user", "content": "Hello"}]
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}

    with running.client() as client:
        answered = client.post("/v1/chat/completions", json={"messages": messages})
        refused = client.post("/v1/chat/completions", json={"messages": messages, "tools": [tool]})
    server.takes_tools = True

    assert answered.status_code == 200, answered.text
    assert "tools" not in server.calls[-1]
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_request")
    assert "does not support tools" in refused.json()["error"]["message"]


def test_nobody_else_may_read_the_passwords_in_the_script(running: Quickstart) -> None:
    path: Path = running.folder / "data/junis"

    assert path.stat().st_mode & 0o777 == 0o700
