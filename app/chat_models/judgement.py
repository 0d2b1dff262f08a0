"""Which tokens of a model call are paid for: those that the upstream reported, or an estimate."""

from app.chat_models.protocol import BYTES_PER_TOKEN, Usage


def judge(reported: Usage | None, delivered_bytes: int, prompt_estimate: int, *, is_final: bool) -> tuple[Usage, bool]:
    """The tokens to pay for, and whether an estimate decided any of the two figures.

    A final report is taken as it is. An answer that was cut, or of which only an early report is known, is paid for
    by the larger of what was reported and what was delivered.

    Args:
        reported: the best of the upstream's reports, if it made any.
        delivered_bytes: what arrived of the answer, in bytes of UTF-8.
        prompt_estimate: tokens of the prompt if no report names any.
        is_final: whether the report belongs to the whole answer; see `UsageReports.is_final`.
    """
    if is_final and reported is not None:
        return reported, False
    if is_free(reported, delivered_bytes, is_final=is_final):
        return Usage(0, 0), False
    stated = reported or Usage(0, 0)
    judged = Usage(
        stated.prompt_tokens or prompt_estimate,
        max(stated.completion_tokens, -(-delivered_bytes // BYTES_PER_TOKEN)),
        stated.details,
    )
    return judged, judged != stated


def is_free(reported: Usage | None, delivered_bytes: int, *, is_final: bool) -> bool:
    """Whether the call costs nothing at all: it gave no output, and no final report says that it ran."""
    if is_final and reported is not None:
        return False
    return delivered_bytes == 0 and (reported is None or reported.completion_tokens == 0)
