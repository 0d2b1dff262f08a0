"""The snippets of the page of clients, and what each of them runs in."""

PAGE = "docs/clients.md"
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
NODE = {"js openai": "node", "js ai": "node", "js ai-openai": "node", "js langchain": "langchain-js"}
IN_SHELL = ("sh curl", "sh elevenlabs")
# Settings of a program that is tried by hand.
BY_HAND = ("sh open-webui",)
