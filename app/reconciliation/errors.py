from datetime import date

from app.core.errors import InvalidRequestError


class PrunedError(InvalidRequestError):
    """Metering events of some of the days are pruned, so that nothing can be compared with them."""

    def __init__(self, first: date) -> None:
        super().__init__(f"Metering events of before {first} are pruned: leave out the days before it")
