"""The snippets of the page of clients, and what each of them runs in."""

PAGE = "docs/clients.md"
# Python that needs no packages but our own, and what it says last.
HERE = {"python openai": "Hello!", "python openai-responses": "And you?"}
PYTHON = {
    "python langchain": "openai2",
    "python llamaindex": "llamaindex",
    "python pydantic-ai": "agents",
    "python openai-agents": "small",
    "python smolagents": "agents",
    "python instructor": "small",
    "python litellm": "litellm",
    "python dspy": "litellm",
    "python livekit": "livekit",
}
NODE = {
    "js openai": "node",
    "js openai-responses": "node",
    "js ai": "node",
    "js ai-openai": "node",
    "js langchain": "langchain-js",
}
IN_SHELL = ("sh curl", "sh elevenlabs")
# Settings of a program that is tried by hand.
BY_HAND = ("sh open-webui",)
