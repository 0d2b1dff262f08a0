"""What identifies the request that the current task belongs to. None outside of requests."""

from contextvars import ContextVar

request_id_var: ContextVar[str | None] = ContextVar("request_id", default=None)
# The same for everything that a request does, so that all of it belongs to one trace.
traceparent_var: ContextVar[str | None] = ContextVar("traceparent", default=None)
