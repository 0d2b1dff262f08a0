from openai import APIError, OpenAI

from tests.contract.clients.openai_python.case import ORCHESTRATOR, Case, Json, says


def invalid_api_key(case: Case) -> Json:
    """A key that does not exist."""
    return refused(case, case.client("unknown"))


def scope_not_allowed(case: Case) -> Json:
    """A key that may not chat."""
    return refused(case, case.client("lists_agents"))


def insufficient_credits(case: Case) -> Json:
    """An organization without credits."""
    return refused(case, case.client("without_credits"))


def session_not_found(case: Case) -> Json:
    """A session that does not exist."""
    return refused(case, case.client(), body={"session_id": "sess-nobodys"})


def agent_not_found(case: Case) -> Json:
    """An agent that the organization does not have."""
    return refused(case, case.client(), model="agent/nobody")


def invalid_request(case: Case) -> Json:
    """A parameter out of its range."""
    return refused(case, case.client(), body={"temperature": 9})


def rate_limit_exceeded(case: Case) -> Json:
    """One request more than the plan allows, from a client that does not retry."""
    client = case.client("one_a_minute").with_options(max_retries=0)
    client.models.list()

    return refused(case, client)


def idempotency_key_reused(case: Case) -> Json:
    """An idempotency key that was used with a different request before."""
    client, headers = case.client(), {"Idempotency-Key": case.id}
    client.chat.completions.create(model=ORCHESTRATOR, messages=says("Hello!"), extra_headers=headers)

    return refused(case, client, words="Something else", headers=headers)


def provider_error(case: Case) -> Json:
    """A model whose vendor fails, so that nobody knows whether the model ran."""
    return refused(case, case.client(), model="agent/broken")


def provider_error_before_a_stream(case: Case) -> Json:
    """The same, if a stream was requested."""
    return refused(case, case.client(), model="agent/broken", body={"stream": True})


def provider_rate_limited(case: Case) -> Json:
    """A model whose vendor refuses requests for longer than the SDK retries."""
    return refused(case, case.client(), model="agent/busy")


def model_not_found(case: Case) -> Json:
    """The name of a model that does not exist."""
    try:
        case.client().models.retrieve("nothing", extra_headers=case.headers)
    except APIError as error:
        return details_of(error)
    return {}


def interrupted_stream(case: Case) -> Json:
    """A stream that the vendor ends with an error after three words."""
    content = ""
    try:
        for chunk in case.client().chat.completions.create(
            model="agent/interrupted",
            messages=says("Count to 20"),
            stream=True,
            user=case.id,
            extra_headers=case.headers,
        ):
            content += chunk.choices[0].delta.content or ""
    except APIError as error:
        return {**details_of(error), "content": content}
    return {}


def refused(
    case: Case,
    client: OpenAI,
    *,
    words: str = "Hello!",
    model: str = ORCHESTRATOR,
    headers: dict[str, str] | None = None,
    body: dict[str, object] | None = None,
) -> Json:
    """The details of the SDK's error if the request is refused, otherwise nothing."""
    try:
        case.ask(client, words, model=model, headers=headers, body=body)
    except APIError as error:
        return details_of(error)
    return {}


def details_of(error: APIError) -> Json:
    """What an application can read from an error."""
    response = getattr(error, "response", None)
    headers = {} if response is None else response.headers
    return {
        "class": type(error).__name__,
        "status": getattr(error, "status_code", None),
        "type": error.type,
        "code": error.code,
        "param": error.param,
        "message": error.body["message"] if isinstance(error.body, dict) else None,
        "request_id": getattr(error, "request_id", None),
        "retry_after": headers.get("retry-after"),
        "should_retry": headers.get("x-should-retry"),
    }


SCENARIOS = (
    invalid_api_key,
    scope_not_allowed,
    insufficient_credits,
    session_not_found,
    agent_not_found,
    invalid_request,
    rate_limit_exceeded,
    idempotency_key_reused,
    provider_error,
    provider_error_before_a_stream,
    provider_rate_limited,
    model_not_found,
    interrupted_stream,
)
