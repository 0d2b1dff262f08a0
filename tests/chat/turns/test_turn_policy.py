import pytest

from app.chat.turns.turn_policy import TurnPolicy
from app.chat_models.patience import PATIENT, StreamPatience
from app.core.settings import Settings


@pytest.mark.parametrize(
    ("settings", "patience"),
    [
        ({}, PATIENT),
        ({"llm_first_event_timeout_seconds": 300}, StreamPatience(first_event=300)),
        ({"llm_event_timeout_seconds": 0.5}, StreamPatience(between_events=0.5)),
    ],
)
def test_a_stream_may_be_silent_for_as_long_as_it_may_last_unless_a_setting_says_otherwise(
    settings: dict[str, float], patience: StreamPatience
) -> None:
    assert TurnPolicy.of(Settings(_env_file=None, **settings)).patience == patience  # type: ignore[arg-type, call-arg]  # names vary
