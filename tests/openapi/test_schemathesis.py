"""The API holds against its own document: schemathesis sends what the document allows, and what it forbids."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import Stack
from tests.factories import Organization

HERE = Path(__file__).parent
IS_FULL = bool(os.environ.get("FULL"))
EXAMPLES = 500 if IS_FULL else 8


def test_every_response_is_as_documented(stack: Stack, organization: Organization) -> None:
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        f"--config-file={HERE / 'schemathesis.toml'}",
        "run",
        f"{stack.url}/openapi.json",
        f"--header=X-API-Key: {organization.headers['X-API-Key']}",
        f"--max-examples={EXAMPLES}",
        "--checks=all",
        "--continue-on-failure",
        "--no-color",
        "--seed=1",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=stack.folder)

    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr
