"""What to use instead of an endpoint of OpenAI's API that is not at the path that was asked for."""

import re
from typing import Final

BASE: Final = "/api/external/v1"
# In front of an endpoint; the first ones of these are what other servers and Azure use.
_PREFIX = re.compile(r"(?:/api/external|/openai|/api)?(?:/v1)*(?=/)")
# What is below the base, and not below the base of OpenAI's clients.
_OURS = ("agents", "sessions", "content", "credits")
# Names that mean an endpoint even without a prefix.
_BARE = frozenset({"chat/completions", "completions", "responses", "embeddings", "models", "messages"})
_CHAT = "Use POST {base}/chat/completions"
_MEDIA = f"{_CHAT}: the organization's agent generates images, videos, audio and 3D models as it is asked to"
_FILES = f"{_CHAT}, and send images and audio in its messages"
# By the first part of the path below `/v1`, and what follows it if that matters. The first one that fits counts.
_INSTEAD = (
    ("chat/completions", _CHAT),
    ("models", "Use GET {base}/models"),
    ("messages", f"The Messages API is another vendor's. {_CHAT}"),
    (
        "responses/compact",
        "Conversations are not compacted: the agents' settings say how much of one is sent to a model",
    ),
    ("responses", "Use POST {base}/responses"),
    ("conversations", f"{_CHAT} or {{base}}/responses with session_id, and GET /api/external/sessions"),
    ("completions", "Use POST {base}/completions"),
    ("edits", f"Edits are not served. {_CHAT}"),
    ("engines", f"Engines are not served. {_CHAT}; GET {{base}}/models lists the models"),
    ("images/generations", "Use POST {base}/images/generations"),
    ("images/edits", "Use POST {base}/images/edits"),
    ("images/variations", "Variations are not served. Use POST {base}/images/edits, and say what is to vary"),
    ("images", f"Use POST {{base}}/images/generations or {{base}}/images/edits. {_MEDIA}"),
    ("videos", f"The Videos API is not served. {_MEDIA}; GET /api/external/content has what it made"),
    ("audio/speech", "Use POST {base}/audio/speech"),
    ("audio", f"Transcriptions are not served. {_CHAT}, with the sound as input_audio"),
    ("embeddings", "Use POST {base}/embeddings"),
    ("moderations", "Moderations are not served. Use a provider of them directly"),
    ("realtime", f"The Realtime API is not served. {_CHAT} with stream: true"),
    ("files", f"Files are not stored. {_FILES}"),
    ("uploads", f"Uploads are not stored. {_FILES}"),
    ("vector_stores", f"Vector stores are not served. {_CHAT}"),
    ("containers", f"Containers are not served. {_CHAT}"),
    ("batches", f"Batches are not served. {_CHAT} for each of their requests"),
    ("fine_tuning", "Fine-tuning is not served. Use the model's provider directly"),
    ("fine-tunes", "Fine-tuning is not served. Use the model's provider directly"),
    ("evals", "Evals are not served. Use the model's provider directly"),
    ("assistants", f"The Assistants API is not served. {_CHAT}; GET /api/external/agents lists the agents"),
    ("threads", f"Threads are not served. {_CHAT} with session_id, and GET /api/external/sessions"),
    ("organization", "The administration of OpenAI is not served. Use GET /api/external/credits"),
    ("usage", "The usage of OpenAI is not served. Use GET /api/external/credits"),
    ("dashboard", "The dashboard of OpenAI is not served. Use GET /api/external/credits"),
)


def what_instead(path: str) -> str | None:
    """What a client should ask for that asked for this path, which has no route; None if the path is not known."""
    prefix = match[0] if (match := _PREFIX.match(path)) else ""
    asked = path.removeprefix(prefix).strip("/")
    # A base URL that was given twice, or the path of a deployment.
    asked = "chat/completions" if asked.endswith("/chat/completions") else asked
    if prefix.endswith("/v1") and asked.partition("/")[0] in _OURS:
        return f"Not found. Use /api/external/{asked.partition('/')[0]}, without /v1"
    for name, instead in _INSTEAD:
        if (asked == name or asked.startswith(f"{name}/")) and (prefix or name in _BARE):
            return f"Not found. {instead.format(base=BASE)}. The base URL for OpenAI's clients ends with {BASE}"
    return None
