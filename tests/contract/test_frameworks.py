"""The server with frameworks that many applications use instead of an SDK. `FULL=1` tries the large ones, too.

All in one file, so that one pytest worker runs it and each program plays its scenarios only once.
"""

import os
import re
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.core.database import Database
from tests.conftest import Stack
from tests.contract.accounts import open_account
from tests.contract.environments import framework_command
from tests.contract.framework_clients import LARGE, REFUSED, SMALL
from tests.contract.runs import Run, run_scenarios

# The first test of a client waits for its environment to be installed.
pytestmark = pytest.mark.timeout(600)

CLIENTS = {**SMALL, **LARGE} if os.environ.get("FULL") == "1" else SMALL

_AT_ONCE = 3

COUNT = " ".join(map(str, range(1, 21)))
ABOUT_WEATHER = "What is the weather in Oslo?"
PLACE = "Oslo?"
POEM = {"title": "Hello!", "verses": 1}


@pytest.fixture(scope="session")
async def runs(
    request: pytest.FixtureRequest, stack: Stack, database: Database, run_folder: Path
) -> AsyncIterator[dict[str, Future[Run]]]:
    """The results of the programs that the selected tests look at: they run side by side, as they mostly wait."""
    wanted = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as threads:
        started = {}
        for name in wanted & CLIENTS.keys():
            command = framework_command(CLIENTS[name].environment, CLIENTS[name].program, run_folder)
            keys = (await open_account(database)).keys
            label = f"{name}-{secrets.token_hex(4)}"
            started[name] = threads.submit(run_scenarios, stack, command, run_folder, label, keys)
        yield started


@pytest.fixture
def run(name: str, runs: dict[str, Future[Run]]) -> Run:
    """The results of all scenarios of one client, played with an account of its own."""
    return runs[name].result()


def is_an_answer(found: dict[str, Any]) -> None:
    assert found["content"].endswith("You said: Hello!")
    assert min(found["usage"]) > 0


def comes_in_pieces(found: dict[str, Any]) -> None:
    assert len(found["pieces"]) == 20
    assert "".join(found["pieces"]) == COUNT
    assert min(found["usage"]) > 0


def calls_the_weather(found: dict[str, Any]) -> None:
    assert found["calls"] == [{"name": "get_weather", "arguments": {"city": ABOUT_WEATHER}}]
    assert f"Snow in {ABOUT_WEATHER}" in found["answer"]


def calls(name: str) -> Callable[[dict[str, Any]], None]:
    def calls_it(found: dict[str, Any]) -> None:
        assert found["calls"] == [{"name": name, "arguments": {"city": PLACE}}]

    return calls_it


def is_a_poem(found: dict[str, Any]) -> None:
    assert found["parsed"] == POEM


def sees_the_picture(found: dict[str, Any]) -> None:
    assert "I saw 1 image." in found["content"]


def remembers(found: dict[str, Any]) -> None:
    (first_prompt, first_answer), (second_prompt, _) = found["usages"]
    assert second_prompt > first_prompt + first_answer


def has(**members: Any) -> Callable[[dict[str, Any]], None]:
    def has_them(found: dict[str, Any]) -> None:
        assert {name: found[name] for name in members} == members

    return has_them


def fills_in_every_part(found: dict[str, Any]) -> None:
    is_a_poem(found)
    assert found["parts"] > 1


def has_the_words_around_it(found: dict[str, Any]) -> None:
    assert found["parsed"]["title"].startswith("Hello!")


def has_the_fields(found: dict[str, Any]) -> None:
    assert found["fields"].keys() == {"title", "mood"}
    assert all("Hello!" in text for text in found["fields"].values())


def ends_with_the_answer(found: dict[str, Any]) -> None:
    assert found["called"] == ["get_weather", "final_answer"]
    assert "Snow in" in found["answer"]


def has_the_size(found: dict[str, Any]) -> None:
    assert found == {"sizes": [[128, 72]] * 2, "types": ["image/png"] * 2}


def are_vectors(found: dict[str, Any]) -> None:
    first, second = found["vectors"]
    assert first == pytest.approx(found["again"], abs=1e-6)
    assert first != pytest.approx(second, abs=1e-2)
    assert sum(number * number for number in first) == pytest.approx(1, abs=1e-5)
    assert found.get("usage", 1) > 0


CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "chat": is_an_answer,
    "stream": comes_in_pieces,
    "tool_auto": calls_the_weather,
    "tool_required": calls("get_weather"),
    "tool_named": calls("get_time"),
    "tool_before_output": has(
        called=["get_weather", "final_result"], parsed={"title": f"Snow in {ABOUT_WEATHER}", "verses": 1}
    ),
    "tool_of_several": has(called=["GetWeather"]),
    "tool_of_an_agent": ends_with_the_answer,
    "handoff": has(agent="Poet"),
    "react": has(answer="Snow"),
    "code": has(answer=42),
    "image": sees_the_picture,
    "fields": has_the_fields,
    "structured_md_json": has_the_words_around_it,
    "structured_partial": fills_in_every_part,
    "generated_images": has_the_size,
    "embeddings": are_vectors,
    "history": remembers,
    "session": remembers,
}


@pytest.mark.parametrize(("name", "scenario"), [(name, each) for name in CLIENTS for each in CLIENTS[name].scenarios])
def test_a_scenario(run: Run, name: str, scenario: str) -> None:
    found = run.result(scenario)

    CHECKS.get(scenario, is_a_poem)(found)


@pytest.mark.parametrize("name", CLIENTS)
def test_every_scenario_is_looked_at(run: Run, name: str) -> None:
    assert set(run.results) == {*CLIENTS[name].scenarios, *REFUSED}


@pytest.mark.parametrize("refused", REFUSED)
@pytest.mark.parametrize("name", CLIENTS)
def test_a_refusal_has_the_clients_own_class(run: Run, name: str, refused: str) -> None:
    error = run.result(refused)

    client, status = CLIENTS[name], REFUSED[refused]
    assert error["class"] == client.classes[refused]
    assert error["status"] == client.statuses.get(refused, status)
    assert re.search(r"Invalid API key|Not enough credits|rate limiting", error["message"])


@pytest.mark.parametrize("name", CLIENTS)
def test_only_what_may_succeed_later_is_repeated(run: Run, name: str) -> None:
    requests = {refused: run.requests[refused] for refused in REFUSED}

    assert requests == {"unknown_key": 1, "without_credits": 1, "busy": CLIENTS[name].tries}
