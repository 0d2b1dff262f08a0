class MailRefusedError(Exception):
    """The server will not take a mail, however often it is tried. The message is what it said."""


class MailServerError(Exception):
    """The server cannot be reached, or does not take a mail at the moment. The message says why."""
