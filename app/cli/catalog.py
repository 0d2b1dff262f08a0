from typing import Annotated

import typer

from app.audit.actor import COMMAND_LINE
from app.catalog.service import export_catalog, import_catalog
from app.catalog.toml import read_catalog
from app.cli.model_price import price
from app.cli.parameters import read_text
from app.cli.printing import tell
from app.cli.transaction import in_transaction

app = typer.Typer(help="The catalog: models and their prices.", no_args_is_help=True)
app.command()(price)


@app.command("import")
def import_file(
    file: Annotated[
        typer.FileText | None,
        typer.Argument(
            encoding="utf-8", help="A catalog in TOML; - for standard input; by default the starter catalog."
        ),
    ] = None,
) -> None:
    """Add the models and prices of a file, and change those that differ. What it does not name stays as it is."""
    catalog = read_catalog(read_text(file)) if file else None
    imported = in_transaction(import_catalog, catalog, actor=COMMAND_LINE)
    tell(f"Imported {imported.models} models; new prices: {imported.new_prices}")


@app.command("export")
def export_file(
    file: Annotated[
        typer.FileTextWrite | None,
        typer.Argument(encoding="utf-8", help="The file to write; by default standard output."),
    ] = None,
) -> None:
    """Write the active models with their current prices, as a catalog that `import` reads."""
    text = in_transaction(export_catalog)
    if file is None:
        typer.echo(text, nl=False)
    else:
        file.write(text)
