import asyncio
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from typing import Annotated

import typer

from app.cli.parameters import AsJson, parse_duration, read_text
from app.cli.printing import print_rows, tell
from app.cli.reporting import CommandFailedError
from app.cli.transaction import REPORT_STATEMENT_SECONDS, in_report
from app.core.database import Database
from app.core.outgoing import Outgoing
from app.core.settings import load_settings
from app.reconciliation.prediction_differences import Difference, DifferenceKind
from app.reconciliation.service import reconcile_predictions, reconcile_usage
from app.reconciliation.usage_differences import UsageDifference
from app.reconciliation.usage_file import UsageColumns, read_usage

app = typer.Typer(help="Compare the ledger with what the vendors say was used.", no_args_is_help=True)

_DAY = timedelta(hours=24)
_PREDICTION_COLUMNS = (
    "difference", "prediction_id", "content_id", "attempt", "model", "status", "created_at", "predict_time",
    "charged_time",
)  # fmt: skip
_USAGE_COLUMNS = (
    "day", "model", "billed_prompt_tokens", "metered_prompt_tokens", "billed_completion_tokens",
    "metered_completion_tokens", "billed_requests", "metered_requests",
)  # fmt: skip


@app.command("predictions")
def compare_predictions(
    since: Annotated[
        timedelta | None,
        typer.Option(parser=parse_duration, metavar="TIME", help="How long ago to begin. Default: 24h."),
    ] = None,
    until: Annotated[
        timedelta | None, typer.Option(parser=parse_duration, metavar="TIME", help="How long ago to end. Default: now.")
    ] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Also list the predictions that other software has made.")
    ] = False,
    tolerance: Annotated[int, typer.Option(min=0, help="How many differences are accepted.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Compare Replicate's list of predictions with what was charged. Exit with 1 if they differ.

    not_charged: it ran for a content that was not charged for it. lost: it ran, and its create call had no response.
    other_time: it was charged for another predict time. not_listed: it was charged, and Replicate does not list it.
    """
    found = asyncio.run(_compare_predictions(since or _DAY, until or timedelta(0)))
    ours = [difference for difference in found if difference.kind is not DifferenceKind.FOREIGN]
    rows = [_prediction_row(difference) for difference in (found if show_all else ours)]
    print_rows(_PREDICTION_COLUMNS, rows, as_json=as_json)
    _conclude(len(ours), tolerance)


@app.command("usage")
def compare_upstream_usage(
    file: Annotated[typer.FileText, typer.Argument(encoding="utf-8", help="The usage as CSV; - for standard input.")],
    upstream: Annotated[
        str | None, typer.Option(help="An entry of LLM_UPSTREAMS. Default: the upstream of LLM_BASE_URL.")
    ] = None,
    day_column: Annotated[str, typer.Option(help="A day, or a time in ISO 8601 or seconds since 1970.")] = "day",
    model_column: Annotated[str, typer.Option(help="The model's name at the upstream.")] = "model",
    prompt_column: Annotated[str, typer.Option(help="Tokens of prompts.")] = "prompt_tokens",
    completion_column: Annotated[str, typer.Option(help="Tokens of answers.")] = "completion_tokens",
    requests_column: Annotated[str | None, typer.Option(help="Requests. Default: not compared.")] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, max=100, help="Per cent by which a day and model may differ.")
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Compare an upstream's usage with what was metered, by day (UTC) and model. Exit with 1 if they differ."""
    columns = UsageColumns(
        day=day_column,
        model=model_column,
        prompt_tokens=prompt_column,
        completion_tokens=completion_column,
        requests=requests_column,
    )
    billed = read_usage(read_text(file).splitlines(keepends=True), columns)
    found = in_report(reconcile_usage, billed, upstream=upstream, tolerance=Decimal(str(tolerance)))
    print_rows(_USAGE_COLUMNS, [_usage_row(difference) for difference in found], as_json=as_json)
    _conclude(len(found), 0)


async def _compare_predictions(since: timedelta, until: timedelta) -> list[Difference]:
    # The vendor's SDK is slow to load, and no other command needs it.
    from app.predictions.open import open_prediction_client  # noqa: PLC0415 - see above

    settings = load_settings()
    database = Database.open(settings, pool_size=1, statement_seconds=REPORT_STATEMENT_SECONDS)
    client = open_prediction_client(settings, Outgoing.of(settings))
    try:
        return await reconcile_predictions(database, client, since=since, until=until)
    finally:
        await client.close()
        await database.close()


def _conclude(differences: int, tolerance: int) -> None:
    if differences > tolerance:
        raise CommandFailedError(f"Differences: {differences}")
    tell(f"Differences: {differences}")


def _prediction_row(difference: Difference) -> dict[str, object]:
    row = asdict(difference)
    content_id = None if difference.content_id is None else str(difference.content_id)
    return {"difference": row.pop("kind").value, **row, "content_id": content_id}


def _usage_row(difference: UsageDifference) -> dict[str, object]:
    billed, metered = asdict(difference.billed), asdict(difference.metered)
    return {
        **difference.key._asdict(),
        **{f"billed_{name}": value for name, value in billed.items()},
        **{f"metered_{name}": value for name, value in metered.items()},
    }
