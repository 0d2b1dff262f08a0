from typing import Annotated, Any, NoReturn

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError

from app.api_keys.caller import Caller
from app.api_keys.scopes import Scope
from app.content.errors import ContentRequestError, InsufficientScopesError
from app.content.urls import FileUrls
from app.core.errors import InvalidRequestError
from app.dependencies import ResourcesDep
from app.rate_limits.dependencies import Guard, GuardedRoute, Handler


class ContentGuard(Guard):
    """Refuses a missing scope in the form of the content API."""

    def refuse_scopes(self, caller: Caller) -> NoReturn:
        required = list(self.scopes)
        missing = [scope for scope in required if scope not in caller.scopes]
        raise InsufficientScopesError(required, missing, sorted(caller.scopes))


class ContentRoute(GuardedRoute):
    """Refuses a bad request in the form of the content API, whichever feature refused it."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                raise ContentRequestError(_describe(error.errors()[0])) from error
            except InvalidRequestError as error:
                raise ContentRequestError(error.text) from error

        return handled


def _describe(error: Any) -> str:
    name = error["loc"][-1]
    allowed = {"page": "between 1 and 2147483647", "page_size": "between 1 and 100"}.get(name)
    if allowed is None:
        return f"Invalid {name}: {error['msg']}"
    return f"Invalid {name} '{error['input']}'. Must be an integer {allowed}"


def get_file_urls(resources: ResourcesDep) -> FileUrls:
    """Builds the URLs of stored files."""
    return FileUrls(resources.store, resources.settings.public_url)


ContentReader = Annotated[Caller, Depends(ContentGuard(Scope.CONTENT_READ))]
ContentRetrier = Annotated[Caller, Depends(ContentGuard(Scope.CONTENT_RETRY))]
FileUrlsDep = Annotated[FileUrls, Depends(get_file_urls)]
