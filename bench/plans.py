"""The plans of what runs in a transaction, as Postgres's auto_explain reports them."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from app.core.database import Transaction

# The time of each node would cost more than the node.
_SETTINGS = {
    "log_min_duration": "0", "log_analyze": "on", "log_buffers": "on", "log_timing": "off", "log_format": "json",
    "log_level": "notice", "log_verbose": "off",
}  # fmt: skip
_DURATION = "duration: "


@dataclass
class Plans:
    """What has run: the milliseconds that Postgres took in all, and the plan of each statement."""

    milliseconds: float = 0.0
    plans: list[dict[str, Any]] = field(default_factory=list)

    def add(self, _connection: object, message: Any) -> None:
        """Take a message of Postgres's."""
        text = str(message.message)
        if text.startswith(_DURATION):
            duration, _, plan = text.removeprefix(_DURATION).partition(" ms  plan:\n")
            self.milliseconds += float(duration)
            self.plans.append(json.loads(plan))

    @property
    def buffers(self) -> int:
        """How many buffers were looked at, in memory or not."""
        return sum(
            plan["Plan"].get("Shared Hit Blocks", 0) + plan["Plan"].get("Shared Read Blocks", 0) for plan in self.plans
        )

    def outline(self) -> list[str]:
        """For each statement, its scans: what was read along which index, and how many rows."""
        return [", ".join(_scans(plan["Plan"])) for plan in self.plans]


async def explain(tx: Transaction) -> None:
    """Have Postgres report the plan of everything that follows in the transaction."""
    await tx.execute("LOAD 'auto_explain'")
    # A bench that has filled a database for half an hour may be kept from the processor for some seconds.
    await tx.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    settings = ", ".join(f"set_config('auto_explain.{name}', '{value}', true)" for name, value in _SETTINGS.items())
    await tx.execute(f"SELECT {settings}")


@asynccontextmanager
async def listening(tx: Transaction) -> AsyncIterator[Plans]:
    """The plans that are reported during the block."""
    plans = Plans()
    driver = tx._driver  # noqa: SLF001 - nothing but the driver hears what Postgres notices
    driver.add_log_listener(plans.add)
    try:
        yield plans
        # Postgres reports on a statement once the next one begins, and the driver when the event loop comes round.
        await tx.fetchval("SELECT 1")
        await asyncio.sleep(0)
    finally:
        driver.remove_log_listener(plans.add)


def _scans(node: dict[str, Any]) -> Sequence[str]:
    found = []
    if "Relation Name" in node or "Index Name" in node:
        what = node.get("Index Name") or node["Relation Name"]
        rows = node["Actual Rows"] * node["Actual Loops"]
        fetched = f", {node['Heap Fetches']} rows looked up" if node.get("Heap Fetches") else ""
        found.append(f"{node['Node Type']} {what} ({rows:,.0f}{fetched})")
    for child in node.get("Plans", ()):
        found += _scans(child)
    return found
