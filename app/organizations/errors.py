from collections.abc import Sequence

from app.core.errors import AppError, InvalidRequestError, NotFoundError


class OrganizationNotFoundError(NotFoundError):
    message = "Organization not found"


class MemberNotFoundError(NotFoundError):
    message = "Member not found"


class PlanNotFoundError(NotFoundError):
    message = "Plan not found"


class OrganizationExistsError(InvalidRequestError):
    message = "An organization with this name exists already"


class PlanIncompleteError(InvalidRequestError):
    """A new plan lacks limits; `missing` are their names."""

    def __init__(self, name: str, missing: Sequence[str]) -> None:
        super().__init__(f"There is no plan {name} yet; to add it, give {' and '.join(missing)} too")
        self.name = name
        self.missing = missing


class SubscriptionRequiredError(AppError):
    status = 403
    type = "permission_error"
    code = "subscription_required"
    message = "An active subscription is required"
