"""Each check of `junis doctor` has its own limit, and disturbs no other."""

import asyncio

import aiohttp
import pytest

from app.cli.doctor.checking import Check, Place, redacted, run_checks, secrets_of
from app.cli.doctor.results import Result, State, failed, not_checked, ok, warning, worst
from app.core.outgoing import DIRECT
from app.core.settings import Settings


@pytest.fixture
async def place() -> Place:
    settings = Settings.model_validate(
        {
            "database_url": "postgresql://ada:pass%23word@127.0.0.1/junis",
            "llm_api_key": "sk-of-the-vendor",
            "metrics_token": "abc",
        }
    )
    async with aiohttp.ClientSession() as http:
        return Place(settings, RuntimeError("nothing can be opened"), http, DIRECT, calls_model=False)


async def hangs(place: Place) -> Result:
    await asyncio.Event().wait()
    return ok("never")


async def breaks(place: Place) -> Result:
    raise ValueError("with sk-of-the-vendor in it")


async def asks_what_is_not_open(place: Place) -> Result:
    return ok(str(place.resources))


async def works(place: Place) -> Result:
    return ok("well")


async def test_one_that_hangs_or_breaks_has_its_line_and_the_others_theirs(place: Place) -> None:
    checks = [Check("hangs", hangs, seconds=0.01), Check("breaks", breaks), Check("works", works)]

    hung, broken, well = await run_checks(place, checks)

    assert (hung.state, broken.state, well) == (State.FAILED, State.FAILED, ok("well"))
    assert "no result within" in hung.found
    assert broken.found == "the check ended with ValueError: with [redacted] in it"


async def test_what_cannot_be_opened_is_not_checked(place: Place) -> None:
    [result] = await run_checks(place, [Check("asks", asks_what_is_not_open)])

    assert result.state is State.NOT_CHECKED


async def test_secrets_of_settings_and_of_their_urls_are_left_out(place: Place) -> None:
    secrets = list(secrets_of(place.settings))

    assert redacted("pass%23word, pass#word and sk-of-the-vendor", secrets) == "[redacted], [redacted] and [redacted]"
    # It may be an ordinary word.
    assert redacted("abc", secrets) == "abc"


def test_of_several_results_the_worst_counts() -> None:
    bad, doubtful = failed("broken", "mend it"), warning("odd", "look")

    assert worst(ok("a"), doubtful, bad, not_checked("b")) == failed("broken; odd", "mend it; look")
    assert worst(ok("a"), not_checked("b")) == ok("a; b")
