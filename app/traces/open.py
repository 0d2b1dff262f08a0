from app.core.outgoing import Outgoing
from app.core.settings import Settings
from app.core.tracing import Tracer


def make_tracer(settings: Settings, service: str) -> Tracer | None:
    """The tracer that the settings ask for; None if they ask for none. It has no connection yet.

    Args:
        settings: the settings.
        service: what the process is called in traces, unless the settings say it.
    """
    url = settings.traces_url
    if url is None:
        return None
    from app.traces.otel import OtelTracer  # noqa: PLC0415 - loaded only if it is used
    from app.traces.sender import SpanSender  # noqa: PLC0415 - see above

    return OtelTracer(
        SpanSender(url, settings.traces_headers, Outgoing.of(settings)),
        service=settings.otel_service_name or service,
        described=settings.traces_resource,
        sampler=settings.otel_traces_sampler,
        ratio=settings.otel_traces_sampler_arg,
    )
