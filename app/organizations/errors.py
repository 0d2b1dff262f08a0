from collections.abc import Sequence

from app.core.errors import AppError, InvalidRequestError, NotFoundError


class OrganizationNotFoundError(NotFoundError):
    message = "Organization not found"


class MemberNotFoundError(NotFoundError):
    message = "Member not found"


class MemberRuleError(InvalidRequestError):
    """Whoever asks may not change that member, or nobody may."""


class LastOwnerError(MemberRuleError):
    message = "An organization keeps an owner. Make somebody else an owner first."


class PlanNotFoundError(NotFoundError):
    message = "Plan not found"


class OrganizationExistsError(InvalidRequestError):
    message = "An organization with this name exists already"


class PlanIncompleteError(InvalidRequestError):
    """A new plan lacks limits; `missing` are their names."""

    def __init__(self, name: str, missing: Sequence[str]) -> None:
        self.name = name
        self.missing = missing
        super().__init__(self.text_naming(missing))

    def text_naming(self, missing: Sequence[str]) -> str:
        """The text of the error, with the names that the missing limits have for whoever reads it."""
        return f"There is no plan {self.name} yet; to add it, give {' and '.join(missing)} too"


class SubscriptionRequiredError(AppError):
    status = 403
    type = "permission_error"
    code = "subscription_required"
    message = "An active subscription is required"
