"""How long the pages of the console take at the server, and how large they are, over a year of use."""

import argparse
import asyncio
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx

from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from app.organizations import service as organizations_service
from bench import console_rows
from bench.figures import Figure, report
from bench.generations import UNLIMITED
from chaos import organizations
from chaos.plant import Plant, running_plant

MOST_MILLISECONDS = 300
MOST_KILOBYTES = 100
_VISITS = 20
_PASSWORD = "of the bench, and long enough"  # noqa: S105 - of a server that lives for one run
_STATEMENT_SECONDS = 600.0
_TOKEN = re.compile(r'name="csrf" value="([^"]+)"')
# The pages that need no id. Those of one object are found by the links of these.
_PAGES = (
    "/",
    "/playground", "/agents", "/agents/new", "/sessions", "/content", "/content?type=image&status=failed",
    "/usage", "/usage?period=90&split=key", "/ledger", "/ledger?kind=charge", "/keys", "/keys/new",
    "/members", "/account",
    "/audit",
    "/organizations", "/plans", "/catalog", "/system",
)  # fmt: skip
# What is no object although it stands below the path of objects.
_OTHER = re.compile(
    r"/(new|holds|import|adjust|alerts|grant|events|export[^/]*|versions|ledger\.\w+)$|\.(csv|json|toml)$"
)
_OBJECTS = {"/sessions": "sessions", "/content": "content", "/ledger": "ledger", "/keys": "keys", "/agents": "agents"}


async def measure(plant: Plant, contents: int, sessions: int, entries: int) -> AsyncIterator[Figure]:
    """Fill the organization, sign in, and open every page again and again."""
    email = await _prepare(plant, contents, sessions, entries)
    async with httpx.AsyncClient(base_url=f"{plant.api_urls['api']}/admin", timeout=60) as http:
        await _sign_in(http, email)
        for path in [*_PAGES, *await _pages_of_objects(http)]:
            async for figure in _of_page(http, path):
                yield figure


async def _prepare(plant: Plant, contents: int, sessions: int, entries: int) -> str:
    database = Database.open(plant.settings, statement_seconds=_STATEMENT_SECONDS)
    try:
        await organizations.set_prices(database, "simulator/image")
        await organizations.set_plan(database, concurrent_generations=1)
        made = await organizations.make_organization(database, "bench")
        began = time.perf_counter()
        await console_rows.fill(database, made.id, made.user_id, contents=contents, sessions=sessions, entries=entries)
        async with database.transaction() as tx:
            organization = await organizations_service.get_organization(tx, made.id)
            owner = await organizations_service.get_member(tx, organization, None)
            organizations_service.set_password(tx, owner, _PASSWORD, actor=COMMAND_LINE)
            await tx.execute("UPDATE users SET is_operator = true WHERE id = $1", owner.id)
            await tx.execute("ANALYZE")
        print(f"Filled in {time.perf_counter() - began:.0f} s", flush=True)
        return owner.email
    finally:
        await database.close()


async def _sign_in(http: httpx.AsyncClient, email: str) -> None:
    found = _TOKEN.search((await http.get("/sign-in")).text)
    if found is None:
        raise RuntimeError("The sign-in page has no token")
    answer = await http.post("/sign-in", data={"csrf": found[1], "email": email, "password": _PASSWORD})
    if answer.status_code != httpx.codes.SEE_OTHER:
        raise RuntimeError(f"Not signed in: {answer.status_code}")


async def _pages_of_objects(http: httpx.AsyncClient) -> Sequence[str]:
    found = []
    for path, folder in _OBJECTS.items():
        text = (await http.get(path)).text
        links = [link for link in re.findall(rf'href="/admin(/{folder}/[^"?#]+)', text) if not _OTHER.search(link)]
        if not links:
            raise RuntimeError(f"{path} leads to no object")
        found.append(links[0])
        if older := re.search(rf'href="/admin({path}\?cursor=[^"]+)"', text):
            found.append(older[1].replace("&amp;", "&"))
    return found


async def _of_page(http: httpx.AsyncClient, path: str) -> AsyncIterator[Figure]:
    seconds = []
    for _ in range(_VISITS):
        began = time.perf_counter()
        page = await http.get(path)
        seconds.append(time.perf_counter() - began)
        if page.status_code != httpx.codes.OK:
            raise RuntimeError(f"{path}: {page.status_code}")
    p95 = statistics.quantiles(seconds, n=20)[-1] * 1000
    name = path if len(path) < 40 else f"{path[:40]}…"
    yield Figure(f"{name}, p95 of {_VISITS}", p95, "ms", at_most=MOST_MILLISECONDS)
    yield Figure(f"{name}, size", len(page.content) / 1000, "kB", at_most=MOST_KILOBYTES)


def main() -> int:
    """Run the bench.

    Returns:
        1 if a requirement is missed.
    """
    parser = argparse.ArgumentParser(prog="bench.console", description=__doc__)
    parser.add_argument("--contents", type=int, default=console_rows.CONTENTS)
    parser.add_argument("--sessions", type=int, default=console_rows.SESSIONS)
    parser.add_argument("--entries", type=int, default=console_rows.ENTRIES)
    sizes = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_plant(Path(folder), settings=UNLIMITED) as plant:
        plant.add_api("api")
        return asyncio.run(report(measure(plant, sizes.contents, sizes.sessions, sizes.entries)))


if __name__ == "__main__":
    sys.exit(main())
