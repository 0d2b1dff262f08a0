"""What an application does with the `openai` package, in whichever version is installed.

Reads JSON from standard input: a name for the run, the base URL, and the API keys, named by what they may do.
Writes JSON to standard output: the version, and the result of each scenario by its name.
"""

import json
import sys
import traceback
from collections.abc import Callable

import openai
from openai import OpenAI

from tests.contract.clients.openai_python import answers, images, refusals, repeats, responses, streams, tools
from tests.contract.clients.openai_python.case import Case, Json

SCENARIOS = (
    *answers.SCENARIOS,
    *streams.SCENARIOS,
    *tools.SCENARIOS,
    *refusals.SCENARIOS,
    *repeats.SCENARIOS,
    *responses.SCENARIOS,
    *images.SCENARIOS,
)


def main() -> None:
    """Play every scenario, even if others fail."""
    access = json.load(sys.stdin)
    clients = {name: OpenAI(base_url=access["base_url"], api_key=key) for name, key in access["keys"].items()}
    results = {
        scenario.__name__: _play(scenario, Case(scenario.__name__, access["run"], clients)) for scenario in SCENARIOS
    }
    json.dump({"version": openai.__version__, "results": results}, sys.stdout)


def _play(scenario: Callable[[Case], Json], case: Case) -> Json:
    try:
        return scenario(case)
    except Exception:  # noqa: BLE001 - the test that reads the result shows the error
        return {"unexpected": traceback.format_exc()}


if __name__ == "__main__":
    main()
