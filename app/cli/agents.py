from typing import Annotated

import typer

from app.agents.editing import export_agents
from app.agents.service import import_agents
from app.agents.toml import read_agents
from app.audit.actor import COMMAND_LINE
from app.cli.parameters import Org, read_text
from app.cli.printing import tell
from app.cli.transaction import in_organization

app = typer.Typer(help="Agents of an organization.", no_args_is_help=True)


@app.command("import")
def import_file(
    file: Annotated[typer.FileText, typer.Argument(encoding="utf-8", help="Agents in TOML; - for standard input.")],
    org: Org,
) -> None:
    """Add the agents of a file, and change those of the organization that have the same names."""
    count = in_organization(import_agents, org, read_agents(read_text(file)), actor=COMMAND_LINE)
    tell(f"Imported {count} agents")


@app.command("export")
def export_file(
    org: Org,
    file: Annotated[
        typer.FileTextWrite | None,
        typer.Argument(encoding="utf-8", help="The file to write; by default standard output."),
    ] = None,
) -> None:
    """Write all agents of the organization, active or not, as a file that `import` reads."""
    text = in_organization(export_agents, org)
    if file is None:
        typer.echo(text, nl=False)
    else:
        file.write(text)
