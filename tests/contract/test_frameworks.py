"""The server with frameworks that many applications use instead of OpenAI's own SDKs."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Stack
from tests.contract.accounts import Account
from tests.contract.environments import CLIENTS, Node, python_environment
from tests.contract.runs import run_program

pytestmark = pytest.mark.timeout(300)

COUNT = " ".join(map(str, range(1, 21)))
WEATHER = {"name": "get_weather", "arguments": {"city": "Please get weather in Oslo"}}


def results_of(stack: Stack, account: Account, command: list[str | Path], folder: Path) -> Any:
    access = {"base_url": f"{stack.base_url}/v1", "keys": account.keys}
    return json.loads(run_program(command, folder, json.dumps(access)))


def test_langchain(stack: Stack, account: Account, tmp_path: Path) -> None:
    python = python_environment("openai2") / "bin" / "python"

    found = results_of(stack, account, [python, CLIENTS / "langchain_client.py"], tmp_path)

    assert found["content"].endswith("You said: Hello!")
    assert found["total_tokens"] > 0
    assert len(found["pieces"]) == 20
    assert "".join(found["pieces"]) == COUNT
    assert found["calls"] == [WEATHER]
    assert "Snow in Please get weather in Oslo" in found["answer"]
    assert found["structured"] == {"title": "Hello!", "verses": 1}


def test_vercel_ai_sdk(stack: Stack, account: Account, node: Node, node_folder: Path) -> None:
    found = results_of(stack, account, [node.program, node_folder / "vercel_client.mjs"], node_folder)

    assert found["content"].endswith("You said: Hello!")
    assert found["total_tokens"] > 0
    assert found["finish_reason"] == "stop"
    assert len(found["pieces"]) == 20
    assert "".join(found["pieces"]) == COUNT
    assert found["stream_finish_reason"] == "stop"
    assert found["calls"] == [WEATHER]
    assert "Snow in Please get weather in Oslo" in found["answer"]
    assert found["refusal"] == {"status": 401, "is_retryable": False, "message": "Invalid API key"}
