"""The judgement of a run: what the clients, the vendors and the tables say of it, compared with each other."""

from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import httpx

from chaos.accounts import Account, Balance, accounts_of, check_accounts
from chaos.asked import Asked
from chaos.charged_chats import collect_chats
from chaos.checks import (
    check_answers,
    check_ends,
    check_entries,
    check_failures,
    check_keys,
    check_predictions,
    check_requests,
    check_runs,
)
from chaos.generation_charges import check_generations
from chaos.model_runs import runs_of
from chaos.organizations import Organization
from chaos.plan import Plan
from chaos.stored import check_store
from chaos.strikes import WORKERS, Blow
from chaos.striking import Struck
from chaos.tables import Tables
from chaos.turn_charges import Verdict, check_losses, check_turns
from chaos.vendor import Vendor


@dataclass(frozen=True)
class Evidence:
    """What a run is judged by.

    Attributes:
        plan: What was to happen.
        asked: What the clients have sent and received.
        struck: What was done to the product.
        vendor: The simulator's own log.
        tables: What is in Postgres.
        balances: What the API says that each organization has.
        objects: The folder in which the objects of the store lie.
    """

    plan: Plan
    asked: Asked
    struck: list[Struck]
    vendor: Vendor
    tables: Tables
    balances: dict[str, Balance]
    objects: Path


@dataclass(frozen=True)
class Judgement:
    """The violations, an empty list of which is the proof of the run; how chats were charged; and the accounts."""

    violations: list[str]
    verdict: Verdict
    accounts: dict[str, Account]


async def judge(evidence: Evidence, http: httpx.AsyncClient) -> Judgement:
    """Find everything that is not as promised. `http` fetches the vendor's files, to compare them."""
    asked, vendor, tables = evidence.asked, evidence.vendor, evidence.tables
    chats, unknown = collect_chats(runs_of(vendor.chats), tables.entries, tables.markers, asked)
    verdict = check_turns(chats, evidence.struck)
    sleeps = sum(blow.kind.blow is Blow.SLEEP and blow.kind.victim in WORKERS for blow in evidence.struck)
    accounts = accounts_of(vendor, tables.contents, tables.entries, verdict.due)
    violations = [
        *check_requests(asked, tables.contents, evidence.plan.requests),
        *check_answers(asked.answers),
        *check_keys(asked),
        *check_ends(tables.contents),
        *(f"{turn}: charged for a chat that nobody has sent" for turn in unknown),
        *verdict.violations,
        *check_losses(verdict, tables.lost_calls),
        *check_generations(vendor, tables.contents, tables.entries),
        *check_entries(tables.entries),
        *check_accounts(accounts, evidence.balances),
        *(f"{reference}: still held" for reference in tables.open_holds),
        *check_runs(vendor, tables.contents, sleeps),
        *check_predictions(vendor, tables.contents),
        *check_failures(vendor, tables.contents),
        *await check_store(evidence.objects, tables.contents, tables.outputs, vendor, http),
    ]
    return Judgement(violations, verdict, accounts)


async def read_balances(http: httpx.AsyncClient, api_url: str, organizations: list[Organization]) -> dict[str, Balance]:
    """Ask the API what each organization has. One whose question gets no answer is left out."""
    balances = {}
    for organization in organizations:
        with suppress(httpx.HTTPError):
            response = await http.get(
                f"{api_url}/api/external/credits", headers={"X-API-Key": organization.api_key}, timeout=30
            )
            shown = response.raise_for_status().json()
            balances[organization.id] = Balance(Decimal(str(shown["balance"])), Decimal(str(shown["held"])))
    return balances
