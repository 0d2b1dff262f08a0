import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from app.chat_models.trial import TRIAL_ANSWER_TOKENS, TRIAL_PROMPT_TOKENS
from app.cli.doctor.results import Result, State
from app.cli.parameters import AsJson
from app.cli.printing import one_line, print_json, tell

_WIDTH = max(len(state) for state in State) + 2


def doctor(
    *,
    no_model_call: Annotated[bool, typer.Option("--no-model-call", help="Do not call the chat model.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check every setting against the world, and say in a line each what is wrong and how to mend it.

    It calls the chat model once, for at most a few words; nothing else costs anything. The exit status is 1 if a check
    has failed. No secret is printed.
    """
    from app.cli.doctor.diagnosis import diagnose  # noqa: PLC0415 - it loads all that the other commands do not need

    if not no_model_call:
        tokens = f"{TRIAL_PROMPT_TOKENS} tokens of prompt and {TRIAL_ANSWER_TOKENS} of answer"
        tell(f"The chat model is called once, for at most {tokens}; --no-model-call leaves that out.")
    report = asyncio.run(diagnose(calls_model=not no_model_call))
    _print(report, as_json=as_json)
    raise typer.Exit(int(any(result.state is State.FAILED for _, result in report)))


def _print(report: Sequence[tuple[str, Result]], *, as_json: bool) -> None:
    if as_json:
        names = ("check", "state", "found", "mend")
        print_json([dict(zip(names, (name, one.state, one.found, one.mend), strict=True)) for name, one in report])
        return
    for name, result in report:
        found = f"{result.found.rstrip('.')}. To mend it: {result.mend}" if result.mend else result.found
        typer.echo(one_line(f"{result.state.ljust(_WIDTH)}{name.ljust(12)}{found}"))
