import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.native_compose.stack import NativeStack, native_stack
from tests.rotation.traffic import Customer

# It takes minutes: `make rotation`. Named, it is collected without the variable, too.
collect_ignore = [] if os.environ.get("FULL") == "1" else ["test_rotation.py"]


def webhook_secret(stack: NativeStack) -> str:
    """That of the simulated account."""
    url = f"{stack.vendors_url}/replicate/v1/webhooks/default/secret"
    told = httpx.get(url, headers={"Authorization": "Bearer tests"}, timeout=60).raise_for_status()
    return str(told.json()["key"])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NativeStack]:
    """A stack as the README starts it, with two APIs."""
    folder = tmp_path_factory.mktemp("rotated")
    with native_stack(folder) as opened:
        opened.shell("sh deploy/make_env.sh simulator")
        settings = {
            "PUBLIC_URL": opened.url,
            "API_SCALE": "2",
            "SHUTDOWN_DELAY_SECONDS": "1",
            "LLM_API_KEY": "the-first-key-of-the-tests",
            "METRICS_TOKEN": "the-first-token-of-the-tests",
            "REPLICATE_WEBHOOK_SECRET": webhook_secret(opened),
            "FAILED_ATTEMPTS_PER_MINUTE": "10000",
        }
        for name, value in settings.items():
            opened.shell(f"echo '{value}' | sh deploy/env.sh set {name}")
        opened.shell("docker compose up -d --wait")
        yield opened


@pytest.fixture(scope="module")
def customer(stack: NativeStack) -> Customer:
    """Somebody with limits and credits for everything."""
    made = json.loads(stack.junis("demo"))
    limits = ("requests-per-minute", "concurrent-requests", "concurrent-generations")
    stack.junis("plans", "set", "pro", *(f"--{limit}=100000" for limit in limits))
    stack.junis("credits", "grant", "--org", "Demo", "--amount", "10000")
    # Its secret is sealed with SECRET_KEY.
    stack.junis("webhooks", "create", "--org", "Demo", "--url", "https://hooks.example.com", "--event", "credits.low")
    return Customer(stack.url, made["api_key"], made["admin_email"], made["admin_password"])


@pytest.fixture
def files(stack: NativeStack) -> Path:
    """The folder of the checkout, with the files that an operator has got from vendors."""
    for name in ("new-token", "new-key"):
        (stack.folder / name).write_text(f"{name}-of-the-vendor\n")
    (stack.folder / "new-secret").write_text("whsec_bmV3LXNlY3JldC1vZi10aGUtdGVzdHM=\n")
    return stack.folder
