"""What every request that changes something must show, whichever page it belongs to."""

from fastapi import Request

from app.admin.access import FoundViewer
from app.admin.errors import NotSignedInError, StaleFormError
from app.admin.forms import check_token, is_cross_site
from app.admin.sign_in.cookies import expected_csrf, is_door

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


async def check_request(request: Request, viewer: FoundViewer) -> None:
    """Require of whatever is not merely read that it comes from a page of the reader's own session.

    Raises:
        StaleFormError: it comes from another site, or without the session's token.
        NotSignedInError: the session has ended.
    """
    if request.method in _SAFE:
        return
    if is_cross_site(request):
        raise StaleFormError
    if viewer is None and not is_door(request):
        raise NotSignedInError
    await check_token(request, expected_csrf(request))
