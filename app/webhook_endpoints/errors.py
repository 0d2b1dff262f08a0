from app.core.errors import AppError, InvalidRequestError, NotFoundError


class WebhookEndpointNotFoundError(NotFoundError):
    message = "Webhook endpoint not found"


class WebhookDeliveryNotFoundError(NotFoundError):
    message = "Webhook delivery not found"


class WebhookEndpointDisabledError(InvalidRequestError):
    message = "The webhook endpoint is disabled or deleted. Nothing is sent to it"


class SecretKeyMissingError(AppError):
    """`SECRET_KEY` differs in every process until it is set, so no other process could read what is sealed under it."""

    status = 503
    code = "service_unavailable"
    message = "Webhooks need the setting SECRET_KEY, which whoever runs this server has not set"
