from typing import Annotated

import typer

from app.agents.toml import STARTER_AGENTS, import_agents, read_agents
from app.cli.output import print_json, print_rows, tell
from app.cli.parameters import AsJson, Org
from app.cli.transaction import in_transaction
from app.core.database import Transaction
from app.credits.service import open_account
from app.organizations import service
from app.organizations.models import Organization
from app.organizations.service import SubscriptionStatus

app = typer.Typer(help="Organizations.", no_args_is_help=True)

_COLUMNS = ("id", "name", "plan", "subscription_status", "created_at")


async def found_organization(tx: Transaction, *, name: str, plan: str, owner_email: str) -> Organization:
    """Make an organization that is complete: with its owner, its credit account and the starter agents.

    Raises:
        PlanNotFoundError: there is no such plan.
        OrganizationExistsError: the name is taken.
        InvalidRequestError: the name is empty or the address is none.
    """
    organization = await service.create_organization(tx, name=name, plan=plan, owner_email=owner_email)
    await open_account(tx, organization.id)
    await import_agents(tx, organization.id, read_agents(STARTER_AGENTS.read_text(encoding="utf-8")))
    return organization


@app.command("create")
def create_organization(
    name: Annotated[str, typer.Option(help="A name that no other organization has.")],
    plan: Annotated[str, typer.Option(help="One of `junis plans list`.")],
    owner_email: Annotated[str, typer.Option(help="The address of its owner.")],
    as_json: AsJson = False,
) -> None:
    """Make an organization with its owner, its credit account and the starter agents; print its id."""
    organization = in_transaction(found_organization, name=name, plan=plan, owner_email=owner_email)
    if as_json:
        print_json(_as_row(organization))
    else:
        tell(f"Made the organization {organization.name}. To make it a key: junis keys create --org {organization.id}")
        typer.echo(organization.id)


@app.command("list")
def list_organizations(as_json: AsJson = False) -> None:
    """List all organizations."""
    organizations = in_transaction(service.list_organizations)
    print_rows(_COLUMNS, [_as_row(organization) for organization in organizations], as_json=as_json)


@app.command("set-subscription")
def set_subscription(
    status: Annotated[SubscriptionStatus, typer.Argument(metavar="STATUS", help="Whether it has one.")],
    org: Org,
) -> None:
    """Begin or end the subscription of an organization: the keys of one without are refused."""
    in_transaction(_set_subscription, org, status)
    tell(f"The subscription of {org} is {status}")


@app.command("set-plan")
def set_plan(plan: Annotated[str, typer.Argument(help="One of `junis plans list`.")], org: Org) -> None:
    """Put an organization on another plan, whose limits hold at once."""
    in_transaction(_change_plan, org, plan)
    tell(f"The plan of {org} is {plan}")


async def _set_subscription(tx: Transaction, org: str, status: SubscriptionStatus) -> None:
    service.set_subscription(await service.get_organization(tx, org), status)


async def _change_plan(tx: Transaction, org: str, plan: str) -> None:
    await service.change_plan(tx, await service.get_organization(tx, org), plan)


def _as_row(organization: Organization) -> dict[str, object]:
    return {
        "id": organization.id,
        "name": organization.name,
        "plan": organization.plan_name,
        "subscription_status": organization.subscription_status,
        "created_at": organization.created_at,
    }
