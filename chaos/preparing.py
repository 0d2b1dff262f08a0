"""How the product of a run is set up: its settings, its prices, and its organizations, some of which are poor."""

from decimal import Decimal

from app.core.database import Database
from chaos import organizations
from chaos.organizations import Organization
from chaos.plan import MODELS, ORGANIZATIONS, RICH, Plan
from chaos.plant import Plant
from chaos.prices import CUT_MODEL, SILENT_MODEL, catalog_of

TURN_SECONDS = 10
_FAULT_RATE = 0.35
_WEBHOOK_SECRET = "whsec_Y2hhb3M="  # noqa: S105 - the simulator's, for this run
_CONCURRENT_GENERATIONS = 40
# The second one cannot pay for its first chat.
_POOR_CREDITS = (Decimal("0.3"), Decimal("0.000001"))
# Leases and waits as short as they may be, so that what is struck does not outlast the run.
_SETTINGS = {
    "REPLICATE_CREATES_PER_MINUTE": "6000",
    "REPLICATE_READS_PER_MINUTE": "60000",
    "POLL_INTERVAL_SECONDS": "0.3",
    "WORKER_LEASE_SECONDS": "5",
    "GENERATION_WAIT_SECONDS": "1",
    "CHAT_TURN_TIMEOUT_SECONDS": str(TURN_SECONDS),
    "CHAT_STREAM_TIMEOUT_SECONDS": str(TURN_SECONDS),
    # All clients come from one address.
    "FAILED_ATTEMPTS_PER_MINUTE": "100000",
}
_AGENTS = "".join(
    f'[[agents]]\nname = "{name}"\nmodel = "{model}"\n'
    for name, model in (("cut", CUT_MODEL), ("silent", SILENT_MODEL))
)


def settings_of(plan: Plan) -> dict[str, str]:
    """The product's settings."""
    webhooks = {"REPLICATE_WEBHOOK_SECRET": _WEBHOOK_SECRET} if plan.has_webhooks else {}
    return {**_SETTINGS, **webhooks}


def simulator_options(plan: Plan) -> list[str]:
    """The simulator's options."""
    return ["--seed", str(plan.seed), "--fault-rate", str(_FAULT_RATE), "--webhook-secret", _WEBHOOK_SECRET]


async def prepare(plant: Plant) -> list[Organization]:
    """Set prices and a plan, and make the organizations; the last of them are poor."""
    database = Database.open(plant.settings)
    try:
        await organizations.import_catalog(database, catalog_of(MODELS))
        await organizations.set_plan(database, concurrent_generations=_CONCURRENT_GENERATIONS)
        return [
            await organizations.make_organization(
                database,
                f"organization-{number}",
                credit=organizations.CREDITS if number < RICH else _POOR_CREDITS[number - RICH],
                further_agents=_AGENTS,
            )
            for number in range(ORGANIZATIONS)
        ]
    finally:
        await database.close()
