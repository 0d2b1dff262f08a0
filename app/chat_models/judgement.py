"""What a model call has used, judged from what the upstream reported and from what arrived."""

from app.chat_models.protocol import BYTES_PER_TOKEN, Usage


def judge(reported: Usage | None, delivered_bytes: int, prompt_estimate: int, *, is_final: bool) -> tuple[Usage, bool]:
    """The tokens that a call has used, and whether an estimate decided them.

    Args:
        reported: what the upstream reported, if anything.
        delivered_bytes: UTF-8 bytes of the answer that have arrived.
        prompt_estimate: tokens of the prompt, if the upstream does not say.
        is_final: whether the answer has come to its own end. Only then a report is final.
    """
    if reported is not None and is_final:
        return reported, False
    delivered = -(-delivered_bytes // BYTES_PER_TOKEN)
    if reported is None:
        return Usage(prompt_estimate, delivered), True
    judged = Usage(reported.prompt_tokens or prompt_estimate, max(reported.completion_tokens, delivered))
    return judged, judged != reported
