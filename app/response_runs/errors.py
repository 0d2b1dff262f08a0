from app.core.errors import InvalidRequestError


class EventsNotStoredError(InvalidRequestError):
    message = "Only a response that was created with background and stream has events that can be read again"

    def __init__(self, text: str | None = None) -> None:
        super().__init__(text or self.message, param="stream")
