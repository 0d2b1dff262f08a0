from app.core.errors import InvalidRequestError


class EventsNotStoredError(InvalidRequestError):
    message = "Only a response that was created with stream, and with background or an Idempotency-Key, can be read so"

    def __init__(self, text: str | None = None) -> None:
        super().__init__(text or self.message, param="stream")
