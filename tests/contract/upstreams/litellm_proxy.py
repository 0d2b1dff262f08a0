"""LiteLLM's proxy: models with its own mock answers, and one that it passes on to the vendors' simulator."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from devstack import product
from devstack.ports import free_port
from tests.contract.upstreams.installing import programs_of
from tests.contract.upstreams.product import Upstream
from tests.contract.upstreams.running import running

KEY = "sk-the-master-key-of-the-tests"
ANSWER = "Hello from the mock, in several words."
# What a model answers, by its name.
MOCKED = {
    "mock-chat": ANSWER,
    "mock-busy": "litellm.RateLimitError",
    "mock-long": "litellm.ContextWindowExceededError",
    "mock-broken": "litellm.InternalServerError",
}
PASSED_ON = "passed-on"


@contextmanager
def litellm_proxy(folder: Path, openai_url: str) -> Iterator[Upstream]:
    """Run the proxy during the block; `openai_url` is the simulator's OpenAI."""
    port = free_port()
    (folder / "config.yaml").write_text(yaml.safe_dump(_configuration(openai_url)))
    command: list[str | Path] = [
        programs_of("litellm") / "litellm",
        *("--config", folder / "config.yaml", "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"),
    ]
    # Its table of prices comes with the package; otherwise it asks for a newer one.
    env = product.isolated({"LITELLM_LOCAL_MODEL_COST_MAP": "True", "HOME": str(folder)})
    del env["PYTHONPATH"]
    origin = f"http://127.0.0.1:{port}"
    with running(command, env, folder / "litellm.log", f"{origin}/health/liveliness"):
        yield Upstream(f"{origin}/v1", KEY, (*MOCKED, PASSED_ON))


def _configuration(openai_url: str) -> dict[str, Any]:
    mocked = [
        {"model_name": name, "litellm_params": {"model": "openai/mock", "api_key": "none", "mock_response": answer}}
        for name, answer in MOCKED.items()
    ]
    passed_on = {"model": "openai/sim-chat", "api_base": openai_url, "api_key": "simulated"}
    return {
        "model_list": [*mocked, {"model_name": PASSED_ON, "litellm_params": passed_on}],
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"master_key": KEY},
    }
