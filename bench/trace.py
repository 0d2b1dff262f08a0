"""Prints one whole trace: a streamed turn that has a picture made. `--write` keeps it in docs/tracing.md."""

import argparse
import asyncio
import re
import tempfile
from pathlib import Path

from devstack.servers import EmbeddedServers
from tests.core.sites import furnish
from tests.traces.printed import printed
from tests.traces.product import WEBHOOK_SECRET, traced_product
from tests.vendors_simulator import vendors_simulator

_DOCUMENT = Path(__file__).parent.parent / "docs/tracing.md"
_KEPT = re.compile(r"(?<=<!-- trace -->\n```text\n).*?(?=```)", re.DOTALL)


async def _trace() -> str:
    with (
        tempfile.TemporaryDirectory() as name,
        vendors_simulator("--seed", "1", "--webhook-secret", WEBHOOK_SECRET) as vendors,
        EmbeddedServers(Path(name) / "servers", durable=False) as servers,
    ):
        folder = Path(name)
        site = {
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url,
            "STORAGE": "local",
            "LOCAL_STORAGE_DIR": str(folder / "objects"),
        }
        await furnish(site, folder)
        async with traced_product(site, vendors, folder) as traced:
            # The first one opens connections.
            await traced.draw()
            traced.collector.spans.clear()
            return printed(await traced.draw())


def main() -> None:
    """Print a trace, or keep it."""
    parser = argparse.ArgumentParser(prog="python -m bench.trace", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put it into docs/tracing.md")
    wanted = parser.parse_args()
    trace = asyncio.run(_trace())
    print(trace)
    if wanted.write:
        _DOCUMENT.write_text(_KEPT.sub(lambda _: f"{trace}\n", _DOCUMENT.read_text()))


if __name__ == "__main__":
    main()
