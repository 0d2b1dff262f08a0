"""What an application does with LangChain's `ChatOpenAI`; input and output are like those of the other programs."""

import json
import sys
from importlib.metadata import version

from langchain_openai import ChatOpenAI  # type: ignore[import-not-found]  # runs in its own environment
from pydantic import BaseModel


class Poem(BaseModel):
    """The form of the structured answer."""

    title: str
    verses: int


def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"Snow in {city}"


def main() -> None:
    """Ask for an answer, a stream, a tool call and a structured answer."""
    access = json.load(sys.stdin)
    model = ChatOpenAI(model="junis-orchestrator", base_url=access["base_url"], api_key=access["keys"]["every_scope"])

    whole = model.invoke("Hello!")
    pieces = [chunk.content for chunk in model.stream("Count to 20") if chunk.content]

    question = {"role": "user", "content": "Please get weather in Oslo"}
    with_tool = model.bind_tools([get_weather])
    called = with_tool.invoke([question])
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": get_weather(**call["args"])}
        for call in called.tool_calls
    ]
    final = with_tool.invoke([question, called, *results])

    summary = {
        "version": version("langchain-openai"),
        "content": whole.content,
        "total_tokens": whole.usage_metadata["total_tokens"],
        "pieces": pieces,
        "calls": [{"name": call["name"], "arguments": call["args"]} for call in called.tool_calls],
        "answer": final.content,
        "structured": model.with_structured_output(Poem).invoke("Hello!").model_dump(),
    }
    json.dump(summary, sys.stdout)


if __name__ == "__main__":
    main()
