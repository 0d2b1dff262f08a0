from typing import Annotated

import typer

from app.catalog.toml import STARTER_CATALOG, export_catalog, import_catalog, read_catalog
from app.cli.output import tell
from app.cli.parameters import read_text
from app.cli.transaction import in_transaction

app = typer.Typer(help="The catalog: models and their prices.", no_args_is_help=True)


@app.command("import")
def import_file(
    file: Annotated[
        typer.FileText | None,
        typer.Argument(encoding="utf-8", help="A catalog in TOML, - for standard input; the starter catalog if none."),
    ] = None,
) -> None:
    """Add the models and prices of a file, and change what differs. What it does not name stays as it is."""
    text = STARTER_CATALOG.read_text(encoding="utf-8") if file is None else read_text(file)
    catalog = read_catalog(text)
    new_prices = in_transaction(import_catalog, catalog)
    tell(f"Imported {len(catalog.models)} models; new prices: {new_prices}")


@app.command("export")
def export_file(
    file: Annotated[
        typer.FileTextWrite | None, typer.Argument(encoding="utf-8", help="Where to write; standard output if none.")
    ] = None,
) -> None:
    """Write the active models with their prices of now, as a catalog that `import` reads."""
    text = in_transaction(export_catalog)
    if file is None:
        typer.echo(text, nl=False)
    else:
        file.write(text)
