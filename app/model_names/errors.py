from app.core.errors import NotFoundError


class ModelNotFoundError(NotFoundError):
    code = "model_not_found"

    def __init__(self, model_id: str) -> None:
        super().__init__(f"Model not found: {model_id}")
