import json
from decimal import Decimal
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from app.agents.repository import list_agents
from app.api_keys.errors import InvalidApiKeyError
from app.api_keys.scopes import ALL_SCOPES
from app.audit.actor import COMMAND_LINE
from app.catalog.repository import list_names
from app.catalog.service import get_chat_model, get_embedding_model, get_generation_model
from app.catalog.toml import STARTER_CATALOG, read_catalog
from app.cli.transaction import in_transaction
from app.credits.service import get_balance, grant
from app.organizations.service import ensure_user, get_organization
from tests.cli.callers import caller_of
from tests.cli.conftest import Junis

GENERATING = {f"simulator/{name}" for name in ("image", "edit", "video", "audio", "speech", "glb", "text", "json")}
SIMULATED = {"sim-chat", "sim-embed", *GENERATING}


def demo(junis: Junis) -> dict[str, str]:
    """What the command prints: a single line of JSON."""
    made = junis("demo")
    assert (made.status, made.stdout.count("\n")) == (0, 1)
    credentials: dict[str, str] = json.loads(made.stdout)
    return credentials


def verify(credentials: dict[str, str]) -> bool:
    owner = in_transaction(ensure_user, credentials["admin_email"], actor=COMMAND_LINE)
    return PasswordHasher().verify(owner.password_hash or "", credentials["admin_password"])


def test_it_prints_a_key_with_every_scope_and_a_password(database_url: str, junis: Junis) -> None:
    made = demo(junis)

    assert set(made) == {"api_key", "admin_email", "admin_password"}
    assert made["admin_email"] == "admin@example.com"
    assert caller_of(made["api_key"]).scopes == set(ALL_SCOPES)
    assert verify(made)


def test_the_organization_has_credits_agents_and_a_catalog(database_url: str, junis: Junis) -> None:
    organization_id = caller_of(demo(junis)["api_key"]).organization_id
    organization = in_transaction(get_organization, "Demo")
    starter = {model.name for model in read_catalog(STARTER_CATALOG.read_text()).models}

    assert (organization.id, organization.plan_name) == (organization_id, "pro")
    assert in_transaction(get_balance, organization_id).balance == 100
    assert any(agent.is_orchestrator for agent in in_transaction(list_agents, organization_id))
    assert set(in_transaction(list_names)) == starter | SIMULATED


def test_the_simulator_is_priced(database_url: str, junis: Junis) -> None:
    demo(junis)

    chat = in_transaction(get_chat_model, "sim-chat")
    assert chat.max_output_tokens == 4096
    assert (chat.price.per_million_prompt_tokens, chat.price.per_million_completion_tokens) == (
        Decimal("0.15"),
        Decimal("0.6"),
    )
    assert in_transaction(get_embedding_model, "sim-embed").price.per_million_prompt_tokens == Decimal("0.02")
    for name in GENERATING:
        assert in_transaction(get_generation_model, name).price.ceiling


def test_a_second_run_replaces_key_and_password_and_nothing_else(database_url: str, junis: Junis) -> None:
    first = demo(junis)
    organization_id = caller_of(first["api_key"]).organization_id
    agents = {agent.name: agent.updated_at for agent in in_transaction(list_agents, organization_id)}

    second = demo(junis)

    assert caller_of(second["api_key"]).organization_id == organization_id
    assert in_transaction(get_balance, organization_id).balance == 100
    assert {agent.name: agent.updated_at for agent in in_transaction(list_agents, organization_id)} == agents
    assert verify(second)
    with pytest.raises(VerifyMismatchError):
        verify(first)
    with pytest.raises(InvalidApiKeyError):
        caller_of(first["api_key"])


def test_credits_are_granted_once_even_after_they_are_spent(database_url: str, junis: Junis) -> None:
    organization_id = caller_of(demo(junis)["api_key"]).organization_id
    in_transaction(grant, organization_id=organization_id, amount=Decimal(5), reference="invoice:7", actor=COMMAND_LINE)

    demo(junis)

    assert in_transaction(get_balance, organization_id).balance == 105


def test_other_keys_are_kept(database_url: str, junis: Junis) -> None:
    demo(junis)
    other = junis("keys", "create", "--org", "Demo", "--name", "mine").stdout

    demo(junis)

    assert caller_of(other).scopes


def test_the_operators_own_prices_are_kept(database_url: str, junis: Junis, tmp_path: Path) -> None:
    changed = (
        STARTER_CATALOG.read_text()
        .replace("per_output = 0.5", "per_output = 0.9")
        .replace("ceiling = 0.5", "ceiling = 0.9")
    )
    (tmp_path / "catalog.toml").write_text(changed)
    junis("catalog", "import", "catalog.toml")

    demo(junis)

    assert in_transaction(get_generation_model, "minimax/video-01").price.ceiling == Decimal("0.9")


def test_a_chat_model_without_a_price_causes_a_warning(
    database_url: str, junis: Junis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MODEL", "llama-9")

    made = junis("demo")

    assert made.status == 0
    assert made.stderr.startswith("warning: LLM_MODEL llama-9 has no price in the catalog")
    assert made.stderr.endswith(": junis catalog price llama-9 --prompt … --completion …\n")


@pytest.mark.parametrize("model", ["sim-chat", "gpt-4o-mini"])
def test_a_chat_model_with_a_price_causes_no_warning(
    database_url: str, junis: Junis, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setenv("LLM_MODEL", model)

    assert junis("demo").stderr == ""


def test_an_organization_with_that_name_that_the_command_did_not_make_is_not_changed(
    database_url: str, junis: Junis
) -> None:
    junis("orgs", "create", "--name", "Demo", "--plan", "basic", "--owner-email", "ada@acme.example")

    refused = junis("demo")

    assert (refused.status, refused.stdout) == (1, "")
    assert refused.stderr == "error: The organization Demo has no member with the address admin@example.com\n"
    assert in_transaction(list_names) == []
