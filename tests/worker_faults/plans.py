"""A plan that allows only a few generations at once."""

from decimal import Decimal

from app.audit.actor import COMMAND_LINE
from app.organizations import service as organizations
from tests.worker.workbench import Workbench

NAME = "few-at-once"
AT_ONCE = 5


async def allow(workbench: Workbench, at_once: int) -> None:
    """Let the plan of this site allow `at_once` generations at the same time."""
    async with workbench.resources.database.transaction() as tx:
        await organizations.set_plan(
            tx,
            name=NAME,
            requests_per_minute=1000,
            concurrent_requests=1000,
            concurrent_generations=at_once,
            monthly_credits=Decimal(0),
            actor=COMMAND_LINE,
        )
