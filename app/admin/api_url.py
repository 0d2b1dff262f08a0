"""Where clients of the API find it, for the lines that pages show to be copied."""

from fastapi import Request

from app.admin.sign_in.cookies import is_encrypted
from app.core.settings import Settings


def api_url(request: Request, settings: Settings) -> str:
    """The base URL for clients of the API: PUBLIC_URL or, if it is not set, the address that the browser uses."""
    if "public_url" in settings.model_fields_set:
        origin = settings.public_url
    else:
        origin = f"{'https' if is_encrypted(request, settings) else 'http'}://{request.url.netloc}"
    return f"{origin}/api/external/v1"
