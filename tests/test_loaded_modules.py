"""What an API process loads: nothing that only other processes use, or that its settings do not ask for."""

import subprocess
import sys

_LOAD = "import sys, app.main, app.cli.serve; print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def test_the_api_loads_neither_the_vendors_client_nor_that_of_a_store_it_does_not_use() -> None:
    loaded = subprocess.run([sys.executable, "-c", _LOAD], capture_output=True, text=True, check=True).stdout.split()

    assert "fastapi" in loaded
    assert not {"replicate", "httpx", "boto3", "botocore", "rich", "alembic", "mako"} & set(loaded)
