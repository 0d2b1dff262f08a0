from enum import StrEnum
from typing import Annotated

import typer

from app.accounts.one_time_links import NewLink
from app.accounts.service import list_accounts
from app.audit.actor import COMMAND_LINE
from app.cli.parameters import AsJson
from app.cli.printing import print_json, print_rows, tell
from app.cli.transaction import in_transaction
from app.core.clock import whole_seconds
from app.core.settings import load_settings
from app.onboarding import console_users
from app.organizations.models import MembershipRole

app = typer.Typer(help="Users of the console at /admin.", no_args_is_help=True)

_COLUMNS = ("email", "is_operator", "has_password", "organizations", "last_seen_at")
_Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The user's email address.")]


class _Switch(StrEnum):
    ON = "on"
    OFF = "off"


@app.command("create")
def create_user(
    email: Annotated[str, typer.Option(help="The address to sign in with.")],
    organization: Annotated[
        str | None,
        typer.Option(
            "--org",
            "--organization",
            metavar="ORG",
            help="The id or name of the organization that the user belongs to.",
        ),
    ] = None,
    role: Annotated[MembershipRole, typer.Option(help="What the user is in the organization.")] = MembershipRole.OWNER,
    operator: Annotated[
        bool, typer.Option("--operator", help="Show all organizations, plans, the catalog and the system, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Let somebody use the console, and print a one-time link by which the user sets a password."""
    link = in_transaction(
        console_users.make_console_user,
        email=email,
        organization=organization,
        role=role,
        is_operator=operator,
        actor=COMMAND_LINE,
    )
    _print_link(email, link, as_json=as_json)


@app.command("list")
def list_users(as_json: AsJson = False) -> None:
    """List all users: who can sign in, and what they are members of."""
    rows = [{name: getattr(account, name) for name in _COLUMNS} for account in in_transaction(list_accounts)]
    print_rows(_COLUMNS, rows, as_json=as_json)


@app.command("reset")
def reset_password(email: _Email, as_json: AsJson = False) -> None:
    """Print a one-time link by which a user sets another password. Until it is used, the present one works."""
    link = in_transaction(console_users.reset_password, email, actor=COMMAND_LINE)
    _print_link(email, link, as_json=as_json)


@app.command("operator")
def set_operator(
    email: _Email, switch: Annotated[_Switch, typer.Argument(metavar="on|off", help="Whether the user is one.")]
) -> None:
    """Say whether a user is an operator: sees all organizations, plans, the catalog and the system."""
    is_operator = switch is _Switch.ON
    in_transaction(console_users.set_operator, email, is_operator=is_operator, actor=COMMAND_LINE)
    tell(f"{email} is {'an' if is_operator else 'no'} operator")


def _print_link(email: str, link: NewLink, *, as_json: bool) -> None:
    url = f"{load_settings().public_url}/admin/first-steps/{link.token}"
    if as_json:
        print_json({"email": email, "url": url, "expires_at": link.expires_at})
        return
    tell(f"For {email}, to set a password. The link works once, until {whole_seconds(link.expires_at)}:")
    typer.echo(url)
