from typing import Annotated

import typer

from app.agents.toml import AgentsFile, import_agents, read_agents
from app.cli.output import tell
from app.cli.parameters import Org, read_text
from app.cli.transaction import in_transaction
from app.core.database import Transaction
from app.organizations.service import get_organization

app = typer.Typer(help="Agents of an organization.", no_args_is_help=True)


@app.command("import")
def import_file(
    file: Annotated[typer.FileText, typer.Argument(encoding="utf-8", help="Agents in TOML, - for standard input.")],
    org: Org,
) -> None:
    """Add the agents of a file, and change those that the organization has by the same names."""
    count = in_transaction(_import_agents, org, read_agents(read_text(file)))
    tell(f"Imported {count} agents")


async def _import_agents(tx: Transaction, org: str, file: AgentsFile) -> int:
    organization = await get_organization(tx, org)
    return await import_agents(tx, organization.id, file)
