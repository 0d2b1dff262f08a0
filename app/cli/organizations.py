from typing import Annotated

import typer

from app.audit.actor import COMMAND_LINE
from app.cli.parameters import AsJson, Org
from app.cli.printing import print_json, print_rows, tell
from app.cli.transaction import in_transaction
from app.onboarding.new_organization import set_up_organization
from app.organizations import service
from app.organizations.models import Organization, SubscriptionStatus

app = typer.Typer(help="Organizations.", no_args_is_help=True)

_STATUS_HELP = f"Either {' or '.join(SubscriptionStatus)}."
_COLUMNS = ("id", "name", "plan", "subscription_status", "created_at")


@app.command("create")
def create_organization(
    name: Annotated[str, typer.Option(help="A name that no other organization has.")],
    plan: Annotated[str, typer.Option(help="A plan that `junis plans list` shows.")],
    owner_email: Annotated[str, typer.Option(help="The email address of its owner.")],
    as_json: AsJson = False,
) -> None:
    """Create an organization with its owner, its credit account and the starter agents, and print its id."""
    organization = in_transaction(
        set_up_organization, name=name, plan=plan, owner_email=owner_email, actor=COMMAND_LINE
    )
    if as_json:
        print_json(_as_row(organization))
    else:
        tell(
            f"Created the organization {organization.name}."
            f" To create a key for it: junis keys create --org {organization.id}"
        )
        typer.echo(organization.id)


@app.command("list")
def list_organizations(as_json: AsJson = False) -> None:
    """List all organizations."""
    organizations = in_transaction(service.list_organizations)
    print_rows(_COLUMNS, [_as_row(organization) for organization in organizations], as_json=as_json)


@app.command("set-subscription")
def set_subscription(
    status: Annotated[SubscriptionStatus, typer.Argument(metavar="STATUS", help=_STATUS_HELP)],
    org: Org,
) -> None:
    """Start or end the subscription of an organization. Without one, its keys are refused."""
    in_transaction(service.set_subscription, org, status, actor=COMMAND_LINE)
    tell(f"The subscription of {org} is {status}")


@app.command("set-plan")
def set_plan(plan: Annotated[str, typer.Argument(help="A plan that `junis plans list` shows.")], org: Org) -> None:
    """Move an organization to another plan, whose limits apply at once."""
    in_transaction(service.change_plan, org, plan, actor=COMMAND_LINE)
    tell(f"The plan of {org} is {plan}")


def _as_row(organization: Organization) -> dict[str, object]:
    return {
        "id": organization.id,
        "name": organization.name,
        "plan": organization.plan_name,
        "subscription_status": organization.subscription_status,
        "created_at": organization.created_at,
    }
