from app.core.errors import NotFoundError, ServiceUnavailableError


class ModelNotFoundError(NotFoundError):
    code = "model_not_found"

    def __init__(self, model_id: str) -> None:
        super().__init__(f"Model not found: {model_id}")


class TurnInterruptedError(ServiceUnavailableError):
    """A turn that could not be brought to its end, after its model may have run: to repeat it would run it twice."""

    retryable = False
