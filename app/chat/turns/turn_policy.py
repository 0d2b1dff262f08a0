from dataclasses import dataclass
from typing import Self

from app.chat_models.patience import StreamPatience
from app.core.settings import Settings


@dataclass(frozen=True)
class TurnPolicy:
    """What the operator has set for all turns.

    Attributes:
        default_model: the model of agents that name none.
        whole_seconds: how long a turn may take whose answer is sent as a whole, while its client waits.
        stream_seconds: how long any other turn may take.
        patience: how long a streamed model call may be silent.
        image_tokens: the most tokens that an image counts for, unless the catalog says otherwise for its model.
    """

    default_model: str
    whole_seconds: float
    stream_seconds: float
    patience: StreamPatience
    image_tokens: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The policy in the settings."""
        return cls(
            default_model=settings.llm_model,
            whole_seconds=settings.chat_turn_timeout_seconds,
            stream_seconds=settings.chat_stream_timeout_seconds,
            # 0 is no limit.
            patience=StreamPatience(
                first_event=settings.llm_first_event_timeout_seconds or None,
                between_events=settings.llm_event_timeout_seconds or None,
            ),
            image_tokens=settings.image_prompt_tokens,
        )

    def time_limit(self, *, is_streamed: bool) -> float:
        """Seconds that a turn may take."""
        return self.stream_seconds if is_streamed else self.whole_seconds
