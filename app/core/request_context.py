"""What identifies the request, or the command, that the current task belongs to. None outside of both."""

from contextvars import ContextVar

request_id_var: ContextVar[str | None] = ContextVar("request_id", default=None)
# The same for everything that a request does, so that all of it belongs to one trace.
traceparent_var: ContextVar[str | None] = ContextVar("traceparent", default=None)
# Where it comes from: the address of a client, or the user and the machine of a command.
source_var: ContextVar[str | None] = ContextVar("source", default=None)
