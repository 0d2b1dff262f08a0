"""What the console refuses. Rendered as pages by `app.admin.error_pages`."""


class NotSignedInError(Exception):
    """Nobody is signed in, or the session has ended. The reader is led to the sign-in page."""


class PageForbiddenError(Exception):
    """The reader's role does not allow it. The message says to whom it is allowed."""


class PageNotFoundError(Exception):
    """There is no such page, or none that the reader may know of."""


class StaleFormError(Exception):
    """A form without the token of the reader's session: it comes from elsewhere, or from before the sign-in."""
