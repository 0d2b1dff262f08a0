from typing import Annotated, Any, NoReturn

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError

from app.api_keys.caller import Caller
from app.api_keys.scopes import Scope
from app.content.errors import ContentRequestError, InsufficientScopesError
from app.content.urls import FileUrls
from app.core.errors import InvalidRequestError
from app.core.pagination import LARGEST_PAGE_NUMBER, LARGEST_PAGE_SIZE
from app.core.request_bodies import RefusedBodyError
from app.core.thin_routes import Handler
from app.dependencies import SettingsDep, StoreDep
from app.rate_limits.dependencies import Guard, GuardedRoute

_LARGEST = {"page": LARGEST_PAGE_NUMBER, "page_size": LARGEST_PAGE_SIZE}


class ContentGuard(Guard):
    """Refuses a missing scope in the form of the content API."""

    scope_error = InsufficientScopesError

    def refuse_scopes(self, caller: Caller) -> NoReturn:
        required = list(self.scopes)
        missing = [scope for scope in required if scope not in caller.scopes]
        raise InsufficientScopesError(required, missing, sorted(caller.scopes))


class ContentRoute(GuardedRoute):
    """Refuses a bad request in the form of the content API, whichever feature refused it."""

    invalid_request = ContentRequestError

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                raise ContentRequestError(_describe(error.errors()[0])) from error
            except InvalidRequestError as error:
                raise ContentRequestError(error.text) from error
            except RefusedBodyError as error:
                if isinstance(error.refusal, InvalidRequestError):
                    raise ContentRequestError(error.refusal.text) from error
                raise

        return handled


def _describe(error: Any) -> str:
    name = error["loc"][-1]
    largest = _LARGEST.get(name)
    if largest is None:
        return f"Invalid {name}: {error['msg']}"
    return f"Invalid {name} '{error['input']}'. Must be an integer between 1 and {largest}"


async def get_file_urls(store: StoreDep, settings: SettingsDep) -> FileUrls:
    """How stored files are addressed."""
    return FileUrls(store, settings.public_url)


ContentReader = Annotated[Caller, Depends(ContentGuard(Scope.CONTENT_READ))]
ContentRetrier = Annotated[Caller, Depends(ContentGuard(Scope.CONTENT_RETRY))]
FileUrlsDep = Annotated[FileUrls, Depends(get_file_urls)]
