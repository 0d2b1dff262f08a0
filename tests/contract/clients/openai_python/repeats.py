from tests.contract.clients.openai_python.case import ORCHESTRATOR, Case, Json, says


def recovering_provider(case: Case) -> Json:
    """A model whose vendor refuses once, so that the SDK's second request succeeds."""
    return {"content": case.ask(case.client(), model="agent/recovering").choices[0].message.content}


def idempotent(case: Case) -> Json:
    """One request sent twice under one Idempotency-Key."""
    create = case.client().chat.completions.with_raw_response.create

    answers = [
        create(
            model=ORCHESTRATOR,
            messages=says("Hello!"),
            user=case.id,
            extra_headers={**case.headers, "Idempotency-Key": case.id},
        )
        for _ in range(2)
    ]

    return {
        "replayed": [answer.headers.get("idempotent-replayed") for answer in answers],
        "ids": len({answer.parse().id for answer in answers}),
        "contents": [answer.parse().choices[0].message.content for answer in answers],
    }


def idempotent_stream(case: Case) -> Json:
    """The same with streams, joined by the SDK."""
    client = case.client()
    completions = []
    for _ in range(2):
        with client.chat.completions.stream(
            model=ORCHESTRATOR,
            messages=says("Count to 20"),
            user=case.id,
            extra_headers={**case.headers, "Idempotency-Key": case.id},
        ) as events:
            completions.append(events.get_final_completion())

    return {
        "ids": len({completion.id for completion in completions}),
        "contents": [completion.choices[0].message.content for completion in completions],
        "finish_reasons": [completion.choices[0].finish_reason for completion in completions],
    }


SCENARIOS = (recovering_provider, idempotent, idempotent_stream)
