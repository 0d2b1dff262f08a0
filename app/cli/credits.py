import uuid
from decimal import Decimal
from typing import Annotated

import typer

from app.cli.output import credits_text, print_json, print_rows, tell
from app.cli.parameters import AsJson, Org, parse_credits
from app.cli.transaction import in_transaction
from app.core.database import Transaction
from app.credits import service
from app.credits.service import Balance
from app.organizations.service import get_organization

app = typer.Typer(help="Credits of an organization.", no_args_is_help=True)


@app.command("grant")
def grant(
    org: Org,
    amount: Annotated[Decimal, typer.Option(parser=parse_credits, metavar="AMOUNT", help="Such as 12.5.")],
    reference: Annotated[
        str | None, typer.Option(help="Credits are granted once for a reference; a random one where it is left out.")
    ] = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Kept in the ledger.")] = "",
) -> None:
    """Add credits to the balance of an organization."""
    reference = reference or f"grant:{uuid.uuid4()}"
    is_new, balance = in_transaction(_grant, org, amount, reference, note)
    done = f"Granted {credits_text(amount)} credits as {reference}" if is_new else f"{reference} was granted before"
    tell(f"{done}. The balance is {credits_text(balance.balance)}")


@app.command("balance")
def show_balance(org: Org, as_json: AsJson = False) -> None:
    """Show what an organization owns, what of it is held, and what may be spent."""
    balance = in_transaction(_get_balance, org)
    row = {"balance": balance.balance, "held": balance.held, "available": balance.available}
    if as_json:
        print_json(row)
    else:
        print_rows(tuple(row), [row], as_json=False)


async def _grant(tx: Transaction, org: str, amount: Decimal, reference: str, note: str) -> tuple[bool, Balance]:
    organization = await get_organization(tx, org)
    is_new = await service.grant(
        tx, organization_id=organization.id, amount=amount, reference=reference, description=note
    )
    return is_new, await service.get_balance(tx, organization.id)


async def _get_balance(tx: Transaction, org: str) -> Balance:
    organization = await get_organization(tx, org)
    return await service.get_balance(tx, organization.id)
