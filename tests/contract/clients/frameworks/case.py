"""What the programs have in common: the scenarios' words, and how they are played."""

import json
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel

Json = dict[str, Any]

ORCHESTRATOR = "junis-orchestrator"
# An agent whose model refuses every request for now.
BUSY = "agent/busy"

HELLO = "Hello!"
COUNT = "Count to 20"
ABOUT_WEATHER = "What is the weather in Oslo?"
# Nothing in it asks for a tool, so that only a forced model calls one.
PLACE = "Oslo?"
# What is asked for without an agent.
PAINTER = "black-forest-labs/flux-schnell"
EMBEDDER = "sim-embed"
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


# Whether the program is to use the Responses API and not chat completions.
USES_RESPONSES = "responses" in sys.argv[1:]


class Poem(BaseModel):
    """The form of the structured answers."""

    title: str
    verses: int


@dataclass(frozen=True)
class Case:
    """One scenario of a run: where the server is, and the id by which its requests are recognized."""

    name: str
    run: str
    base_url: str
    keys: Mapping[str, str]

    @property
    def headers(self) -> dict[str, str]:
        return {"X-Request-ID": f"{self.run}.{self.name}"}

    @property
    def key(self) -> str:
        return self.keys["every_scope"]

    @property
    def conversation(self) -> Json:
        """Members of a request's body that name a session of the scenario's own."""
        return {"elevenlabs_extra_body": {"conversation_id": f"{self.run}.{self.name}"}}


Scenario = Callable[[Case], Json]
Ask = Callable[[Case, str, str], object]


def weather(city: str) -> str:
    """What the clients' tools say."""
    return f"Snow in {city}"


def refusals(ask: Ask) -> list[Scenario]:
    """The scenarios of refused requests, for a client that asks with a key of this name for a model."""

    def unknown_key(case: Case) -> Json:
        return _refused(lambda: ask(case, "unknown", ORCHESTRATOR))

    def without_credits(case: Case) -> Json:
        return _refused(lambda: ask(case, "without_credits", ORCHESTRATOR))

    def busy(case: Case) -> Json:
        return _refused(lambda: ask(case, "every_scope", BUSY))

    return [unknown_key, without_credits, busy]


def _refused(ask: Callable[[], object]) -> Json:
    try:
        ask()
    except Exception as error:  # noqa: BLE001 - its class is the result
        return {"class": type(error).__name__, "status": getattr(error, "status_code", None), "message": str(error)}
    return {}


def play(package: str, scenarios: Sequence[Scenario]) -> None:
    """Read the access from standard input, play every scenario even if others fail, and print the results."""
    access = json.load(sys.stdin)
    results = {
        scenario.__name__: _play(scenario, Case(scenario.__name__, access["run"], access["base_url"], access["keys"]))
        for scenario in scenarios
    }
    # After whatever the packages print themselves.
    sys.stdout.write("\n" + json.dumps({"version": version(package), "results": results}))


def _play(scenario: Scenario, case: Case) -> Json:
    try:
        return scenario(case)
    except Exception:  # noqa: BLE001 - the test that reads the result shows the error
        return {"unexpected": traceback.format_exc()}
