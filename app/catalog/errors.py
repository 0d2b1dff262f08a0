from app.core.errors import AppError, InvalidRequestError


class UnknownModelError(InvalidRequestError):
    message = "Unknown model"


class ModelNotPricedError(AppError):
    """A model without a price is refused: a call of it would cost the operator money that nobody pays back."""

    status = 502
    type = "provider_error"
    code = "model_not_priced"
    message = "The model has no price in the catalog"


class CatalogFileError(InvalidRequestError):
    message = "The catalog file cannot be read"
