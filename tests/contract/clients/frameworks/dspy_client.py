"""Programs of `dspy`, whose models are those of `litellm`."""

import os
from typing import Any

# Otherwise litellm asks a server elsewhere for prices, and waits.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import dspy

from tests.contract.clients.frameworks.case import (
    HELLO,
    ORCHESTRATOR,
    Case,
    Json,
    play,
    refusals,
)


def _model(case: Case, key: str = "every_scope", model: str = ORCHESTRATOR) -> Any:
    return dspy.LM(
        f"openai/{model}", api_base=case.base_url, api_key=case.keys[key], cache=False, extra_headers=case.headers
    )


class Verses(dspy.Signature):
    """Write a poem."""

    topic: str = dspy.InputField()
    title: str = dspy.OutputField()
    mood: str = dspy.OutputField()


def chat(case: Case) -> Json:
    """A whole answer."""
    model = _model(case)
    (content,) = model(HELLO)
    usage = model.history[-1]["usage"]
    return {
        "content": content["text"] if isinstance(content, dict) else content,
        "usage": [usage["prompt_tokens"], usage["completion_tokens"]],
    }


def fields(case: Case) -> Json:
    """A signature whose outputs are JSON."""
    with dspy.context(lm=_model(case), adapter=dspy.JSONAdapter()):
        prediction = dspy.Predict(Verses)(topic=HELLO)
    return {"fields": prediction.toDict()}


def _ask(case: Case, key: str, model: str) -> None:
    _model(case, key, model)(HELLO)


if __name__ == "__main__":
    play("dspy", [chat, fields, *refusals(_ask)])
