"""Turns of one organization through several API processes: how many a second, and whether its ledger is exact."""

import asyncio
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg

from app.audit.actor import COMMAND_LINE
from app.credits.adjustments import adjust
from app.resources import open_resources
from bench.scaling.used import Used, Watch, of_processes, of_stores
from bench.turn_cost.listening import start_listening
from bench.turn_cost.load import Order, Outcome
from bench.turn_cost.loads import CALLS, order_of
from bench.turn_cost.measure import LoadProcess
from bench.turn_cost.organization import Keys, prepare
from bench.turn_cost.stores import Stores, running_stores
from bench.turn_cost.subjects import product_api
from devstack.ports import free_port

_WARM_UP_SECONDS = 1.5
_NO_CREDITS = "402"
# Of the one organization. Whatever was granted, adjusted and charged has to be its balance, to the sixth decimal.
_LEDGER = """
SELECT a.organization_id, a.balance, a.held, sum(e.amount) AS sum,
       count(*) FILTER (WHERE e.kind = 'charge') AS charges,
       round(-avg(e.amount) FILTER (WHERE e.kind = 'charge'), 6) AS average
FROM credit_accounts a JOIN ledger_entries e USING (organization_id) GROUP BY a.organization_id
"""


@dataclass(frozen=True)
class Turns:
    """Turns through so many processes.

    Attributes:
        processes: API processes.
        answered: turns that were answered, with their charge in the ledger.
        refused: turns that were not, because the credits had come to their end.
        rate: answered turns a second.
        p50, p99: milliseconds of one.
        used: what they cost.
    """

    processes: int
    answered: int
    refused: int
    rate: float
    p50: float
    p99: float
    used: Used


def measure_turns(processes: int, *, connections: int, seconds: float) -> tuple[Turns, Turns]:
    """Turns of so many clients, first with more credits than they need, then until the credits are spent.

    Raises:
        RuntimeError: a turn was neither answered nor refused for want of credits, or the ledger is not exact.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stores(Path(folder), with_given=False) as stores,
        ExitStack() as stack,
    ):
        keys = asyncio.run(prepare(stores.plant.settings))
        apis = [_start_api(stack, stores) for _ in range(processes)]
        loads = [stack.enter_context(LoadProcess()) for _ in apis]
        bench = _Bench(stores, keys, apis, loads, connections)
        bench.run(_WARM_UP_SECONDS)
        plenty = bench.run(seconds)
        asyncio.run(bench.leave_credits_for(plenty.answered // 3))
        return plenty, bench.run(seconds)


class _Bench:
    """The running servers, and the clients."""

    def __init__(
        self,
        stores: Stores,
        keys: Keys,
        apis: Sequence[tuple[int, int]],
        loads: Sequence[LoadProcess],
        connections: int,
    ) -> None:
        self._stores = stores
        self._loads = loads
        each = replace(CALLS[0], connections=connections // len(apis))
        path = "/api/external/v1/chat/completions"
        self._orders = [order_of(each, "127.0.0.1", port, path=path, key=keys.unlimited, seconds=1) for _, port in apis]
        self._parts = {
            "api": of_processes(pid for pid, _ in apis),
            **of_stores(stores.plant),
            "clients": of_processes([*(load.pid for load in loads), stores.upstream_pid]),
        }

    def run(self, seconds: float) -> Turns:
        """Let all clients ask for so long.

        Raises:
            RuntimeError: see `measure_turns`.
        """
        before = asyncio.run(self._charges())
        watch = Watch(self._parts)
        outcomes = self._run_orders([replace(order, seconds=seconds) for order in self._orders])
        used = watch.used()
        answered = sum(outcome.requests for outcome in outcomes)
        self._check_refusals(outcomes)
        if asyncio.run(self._charges()) - before != answered:
            raise RuntimeError("There are not as many charges as turns that were answered")
        return Turns(
            processes=len(outcomes),
            answered=answered,
            refused=sum(outcome.failures for outcome in outcomes),
            rate=answered / max(outcome.seconds for outcome in outcomes),
            p50=max(outcome.p50 for outcome in outcomes),
            p99=max(outcome.p99 for outcome in outcomes),
            used=used,
        )

    async def leave_credits_for(self, turns: int) -> None:
        """Take away so much that the credits are at an end after about so many turns."""
        ledger = await self._ledger()
        amount = ledger["average"] * turns - ledger["balance"]
        async with (
            open_resources(self._stores.plant.settings) as resources,
            resources.database.transaction() as tx,
        ):
            organization_id = ledger["organization_id"]
            await adjust(
                tx, organization_id, amount=amount, reason="a ceiling", reference="ceiling", actor=COMMAND_LINE
            )

    def _run_orders(self, orders: Sequence[Order]) -> list[Outcome]:
        with ThreadPoolExecutor(len(orders)) as pool:
            return list(pool.map(lambda load, order: load.run(order), self._loads, orders))

    def _check_refusals(self, outcomes: Sequence[Outcome]) -> None:
        if any(outcome.failed.keys() - {_NO_CREDITS} for outcome in outcomes):
            samples = [sample for outcome in outcomes for sample in outcome.samples]
            raise RuntimeError(f"A turn was neither answered nor refused for want of credits: {samples}")

    async def _charges(self) -> int:
        """How many turns were charged so far.

        Raises:
            RuntimeError: the balance is not what the ledger's entries make, or something is still held.
        """
        ledger = await self._ledger()
        if ledger["balance"] != ledger["sum"] or ledger["held"] or ledger["balance"] < 0:
            raise RuntimeError(f"The ledger is not exact: {dict(ledger)}")
        return int(ledger["charges"])

    async def _ledger(self) -> asyncpg.Record:
        connection = await asyncpg.connect(self._stores.plant.environment["DATABASE_URL"])
        try:
            row = await connection.fetchrow(_LEDGER)
        finally:
            await connection.close()
        assert row is not None  # noqa: S101 - the organization has an account
        return row


def _start_api(stack: ExitStack, stores: Stores) -> tuple[int, int]:
    """Start an API process; returns its process id and its port."""
    port = free_port()
    program = product_api(stores, port)
    stack.callback(program.stop)
    start_listening(program, port)
    return program.pid, port
