from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.credits.max_credits import MaxCredits

_Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class VoiceId(BaseModel):
    """A voice by its id."""

    model_config = ConfigDict(extra="forbid")

    id: _Name


class SpeechRequest(BaseModel):
    """OpenAI's request for speech. The catalog's entry says which voices, formats and speeds a model has."""

    model_config = ConfigDict(extra="forbid")

    input: Annotated[str, StringConstraints(min_length=1, max_length=4096)]
    model: _Name | None = None
    voice: _Name | VoiceId | None = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None = None
    speed: Annotated[float, Field(ge=0.25, le=4)] | None = None
    instructions: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None
    # The bytes of the file. There are no events: it is sent when it is finished.
    stream_format: Literal["audio"] | None = None
    max_credits: MaxCredits | None = None

    @property
    def fields(self) -> dict[str, str | float | None]:
        """The fields that are inputs of the model under names of its own. The usual speed is as if it were left out."""
        return {
            "voice": self.voice.id if isinstance(self.voice, VoiceId) else self.voice,
            "response_format": self.response_format,
            "speed": None if self.speed == 1 else self.speed,
            "instructions": self.instructions,
        }
