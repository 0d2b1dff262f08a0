from decimal import Decimal
from typing import Annotated

import typer

from app.audit.actor import COMMAND_LINE
from app.cli.parameters import AsJson, Org, parse_credits
from app.cli.printing import credits_text, print_json, print_rows, tell
from app.cli.transaction import in_organization
from app.credits.adjustments import adjust
from app.credits.grants import grant_manually
from app.credits.service import get_balance

app = typer.Typer(help="Credits of an organization.", no_args_is_help=True)


@app.command("grant")
def grant(
    org: Org,
    amount: Annotated[Decimal, typer.Option(parser=parse_credits, metavar="AMOUNT", help="Such as 12.5.")],
    reference: Annotated[
        str | None, typer.Option(help="A reference is granted only once. By default a random one is used.")
    ] = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Kept in the ledger.")] = "",
) -> None:
    """Add credits to the balance of an organization."""
    granted = in_organization(
        grant_manually, org, amount=amount, reference=reference, description=note, actor=COMMAND_LINE
    )
    done = f"Granted {credits_text(amount)} credits as {granted.reference}"
    if not granted.is_new:
        done = f"{granted.reference} was granted before"
    tell(f"{done}. The balance is {credits_text(granted.balance.balance)}")


@app.command("adjust")
def adjust_balance(
    org: Org,
    amount: Annotated[
        Decimal, typer.Option(parser=parse_credits, metavar="AMOUNT", help="Such as 12.5, or -12.5 to take credits.")
    ],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Kept in the ledger.")],
    reference: Annotated[
        str, typer.Option(help="Such as the number of a ticket. The same adjustment is made only once for it.")
    ],
) -> None:
    """Correct the balance of an organization. What is held is never taken."""
    done = in_organization(adjust, org, amount=amount, reason=reason, reference=reference, actor=COMMAND_LINE)
    text = f"Adjusted by {credits_text(amount)} credits as {done.reference}"
    if not done.is_new:
        text = f"{done.reference} was made before"
    tell(f"{text}. The balance is {credits_text(done.balance.balance)}")


@app.command("balance")
def show_balance(org: Org, as_json: AsJson = False) -> None:
    """Show how many credits an organization has, how many are held, and how many may be spent."""
    balance = in_organization(get_balance, org)
    row = {"balance": balance.balance, "held": balance.held, "available": balance.available}
    if as_json:
        print_json(row)
    else:
        print_rows(tuple(row), [row], as_json=False)
