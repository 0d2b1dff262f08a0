"""The operator's commands beside a running quickstart: a script that runs `junis` on its servers."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from devstack.private_files import write_private
from devstack.product import ROOT

_TEXT = """#!/bin/sh
# Runs `junis` on the servers of this quickstart: `{path} doctor`. Each start of the quickstart writes this file.
# Keys of vendors are not in it: they come from the environment or from .env, as they do for `make quickstart`.
{exports}
exec {python} -m app.cli "$@"
"""


def write_commands(path: Path, settings: Mapping[str, str]) -> None:
    """Write the script. Only its owner may read it, because the settings contain passwords.

    Args:
        path: where.
        settings: what the commands are to have, whatever the environment and `.env` say.
    """
    python_path = {"PYTHONPATH": str(ROOT)}
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in {**python_path, **settings}.items())
    write_private(path, _TEXT.format(path=path.name, exports=exports, python=shlex.quote(sys.executable)), mode=0o700)
