"""The servers' Python environments, installed exactly from their lock file and kept between runs."""

import os
import subprocess
import sys
from pathlib import Path

_PROJECT = Path(__file__).parent
_CACHE = Path(sys.prefix) / "contract" / "upstreams"


def programs_of(group: str) -> Path:
    """The folder of the programs of one group of the lock file. It is installed if it is not there yet."""
    folder = _CACHE / group
    done = subprocess.run(
        [f"{sys.prefix}/bin/uv", "sync", "--locked", "--only-group", group, "--project", str(_PROJECT)],
        env={
            **os.environ,
            "UV_PROJECT_ENVIRONMENT": str(folder),
            "UV_PYTHON": sys.executable,
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_COMPILE_BYTECODE": "1",
            # One compiler at a time: llama.cpp's are large.
            "CMAKE_BUILD_PARALLEL_LEVEL": os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", "1"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"uv sync --only-group {group} failed:\n{done.stdout}\n{done.stderr}")
    return folder / "bin"
