from app.core.errors import AppError, InvalidRequestError, NotFoundError


class OrganizationNotFoundError(NotFoundError):
    message = "Organization not found"


class PlanNotFoundError(NotFoundError):
    message = "Plan not found"


class OrganizationExistsError(InvalidRequestError):
    message = "An organization with this name exists already"


class SubscriptionRequiredError(AppError):
    status = 403
    type = "permission_error"
    code = "subscription_required"
    message = "An active subscription is required"
