from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path

from app.api_keys import service as api_keys
from app.api_keys.scopes import ALL_SCOPES
from app.catalog import service as catalog
from app.catalog.errors import ModelNotPricedError
from app.catalog.toml import STARTER_CATALOG, CatalogFile, import_catalog, read_catalog
from app.cli.organizations import found_organization
from app.cli.output import print_json, tell
from app.cli.transaction import in_transaction
from app.core.crypto import random_alphanumeric
from app.core.database import Transaction
from app.core.settings import load_settings
from app.credits import service as credits
from app.organizations import service as organizations
from app.organizations.errors import OrganizationNotFoundError
from app.organizations.models import Organization

_ORGANIZATION, _PLAN, _OWNER, _KEY = "Demo", "pro", "admin@example.com", "quickstart"
_CREDITS = Decimal(100)
_PASSWORD_LENGTH = 20
# What the simulator stands for costs something too, so that a demonstration shows real bills.
_DEMO_CATALOG = Path(__file__).with_name("demo_catalog.toml")


@dataclass(frozen=True)
class Demo:
    """How to use the demo organization."""

    api_key: str
    admin_email: str
    admin_password: str


def demo() -> None:
    """Make the organization Demo, ready to use, and print its new key and password as one line of JSON.

    Where it exists already, what it has stays; only its password and its quickstart key are replaced.
    """
    llm_model = load_settings().llm_model
    catalogs = [read_catalog(path.read_text(encoding="utf-8")) for path in (STARTER_CATALOG, _DEMO_CATALOG)]
    made, is_chat_priced = in_transaction(_make_demo, catalogs, llm_model)
    print_json(asdict(made))
    if not is_chat_priced:
        tell(
            f"warning: LLM_MODEL {llm_model} has no price in the catalog: chat is refused"
            " until a file with its price is given to `junis catalog import`"
        )


async def _make_demo(tx: Transaction, catalogs: Iterable[CatalogFile], llm_model: str) -> tuple[Demo, bool]:
    for file in catalogs:
        await _add_models(tx, file)
    organization = await _ensure_organization(tx)
    owner = await organizations.get_member(tx, organization, _OWNER)
    password = random_alphanumeric(_PASSWORD_LENGTH)
    organizations.set_password(owner, password)
    await credits.grant(
        tx, organization_id=organization.id, amount=_CREDITS, reference=f"demo:{organization.id}", description="Demo"
    )
    api_key = await _replace_key(tx, organization.id, owner.id)
    return Demo(api_key, owner.email, password), await _is_priced(tx, llm_model)


async def _add_models(tx: Transaction, file: CatalogFile) -> None:
    """Import the models that the catalog does not have: a price that the operator has set is never changed."""
    known = set(await catalog.list_model_names(tx))
    await import_catalog(tx, CatalogFile(models=[entry for entry in file.models if entry.name not in known]))


async def _ensure_organization(tx: Transaction) -> Organization:
    try:
        return await organizations.get_organization(tx, _ORGANIZATION)
    except OrganizationNotFoundError:
        return await found_organization(tx, name=_ORGANIZATION, plan=_PLAN, owner_email=_OWNER)


async def _replace_key(tx: Transaction, organization_id: str, user_id: str) -> str:
    for key in await api_keys.list_keys(tx, organization_id):
        if key.name == _KEY and key.revoked_at is None:
            await api_keys.revoke_key(tx, organization_id, key.id)
    _, secret = await api_keys.create_key(
        tx, organization_id=organization_id, user_id=user_id, name=_KEY, scopes=ALL_SCOPES
    )
    return secret


async def _is_priced(tx: Transaction, chat_model: str) -> bool:
    try:
        await catalog.get_chat_model(tx, chat_model)
    except ModelNotPricedError:
        return False
    return True
