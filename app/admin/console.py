"""The console as an application of its own, mounted at `/admin`."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from fastapi import Depends, FastAPI
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.routing import Match, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.admin.access import SignedIn
from app.admin.account.router import router as account
from app.admin.agents.router import router as agents
from app.admin.audit.router import router as audit
from app.admin.catalog.router import router as catalog
from app.admin.content.live import Streams
from app.admin.content.media import media_sources, model_viewer_policy
from app.admin.content.router import router as content
from app.admin.credits.router import router as credits_pages
from app.admin.error_pages import add_error_pages
from app.admin.errors import PageNotFoundError
from app.admin.first_steps.router import router as first_steps
from app.admin.invitations.router import router as invitations
from app.admin.keys.router import router as keys
from app.admin.kit.router import router as kit
from app.admin.members.router import router as members
from app.admin.organizations.router import router as organizations
from app.admin.plans.router import router as plans
from app.admin.playground.router import router as playground
from app.admin.rendering import ROOT
from app.admin.request_checks import check_request
from app.admin.sessions.router import router as sessions
from app.admin.sign_in.router import router as sign_in
from app.admin.start.router import router as start
from app.admin.system.router import router as system
from app.admin.webhooks.router import router as webhooks
from app.core.settings import Settings
from app.mail.smtp import open_sender

_ROUTERS: Final = (
    start,
    sign_in,
    account,
    members,
    invitations,
    playground,
    agents,
    sessions,
    content,
    keys,
    webhooks,
    audit,
    organizations,
    plans,
    catalog,
    system,
    first_steps,
    credits_pages,
)
_KEPT: Final = "public, max-age=31536000, immutable"


def mount_console(application: FastAPI, settings: Settings) -> None:
    """Serve the console below `/admin`, with the resources of the application."""
    console = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(check_request)],
        # As for the API.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    console.state = application.state
    add_error_pages(console)
    policy = content_policy(media_sources(settings))
    console.state.model_viewer_policy = model_viewer_policy(policy)
    console.state.content_streams = Streams()
    console.state.mail_sender = open_sender(settings)
    console.add_middleware(PageHeaders, policy=policy)
    for router in _ROUTERS:
        console.include_router(router)
    if settings.console_kit:
        console.include_router(kit)
    console.mount("/static", KeptFiles(directory=str(files("app.admin").joinpath("static"))))
    console.add_api_route("/{rest:path}", _no_such_page)
    application.router.routes.append(_Console(ROOT, console))


async def _no_such_page(viewer: SignedIn) -> Response:
    """Any other address. Those who have not signed in are not told which addresses exist."""
    raise PageNotFoundError


def content_policy(media: Sequence[str]) -> str:
    """The Content-Security-Policy of every page.

    Args:
        media: the origins that pictures, sounds and videos are loaded from, beside the server itself.
    """
    sources = " ".join(["'self'", *media])
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src {sources} data: blob:",
            f"media-src {sources}",
            f"connect-src {sources}",
            "font-src 'self'",
            "manifest-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ]
    )


class PageHeaders:
    """Adds to every response of the console what browsers must know of it."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self.app = app
        self.headers = {
            "Content-Security-Policy": policy,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
                # Pages show what belongs to one reader, who may sign out and leave the browser to the next.
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, send_with_headers)


class KeptFiles(StaticFiles):
    """Files whose address changes with their contents, so that browsers may keep them."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """The file, with how long it may be kept."""
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]  # they are passed on as they come
        response.headers["Cache-Control"] = _KEPT
        return response


class _Console(Mount):
    """A mount that takes its own address too. A slash at the end has been removed before."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and scope["path"] == self.path:
            path = f"{self.path}/"
            match, child = super().matches({**scope, "path": path})
            return match, {**child, "path": path}
        return super().matches(scope)
