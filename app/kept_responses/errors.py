from app.core.errors import NotFoundError


class ResponseNotFoundError(NotFoundError):
    code = "response_not_found"
    message = "There is no such response"


class PreviousResponseNotFoundError(NotFoundError):
    code = "previous_response_not_found"
    message = "There is no such response to go on from"

    def __init__(self) -> None:
        super().__init__(param="previous_response_id")


class ItemNotFoundError(NotFoundError):
    code = "item_not_found"
    message = "There is no such item"
