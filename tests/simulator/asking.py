from typing import Any

import openai
from openai.types.chat import ChatCompletionChunk


async def ask(client: openai.AsyncOpenAI, words: str, **options: Any) -> Any:
    messages = options.pop("messages", [{"role": "user", "content": words}])
    completion = await client.chat.completions.create(model="sim-chat", messages=messages, **options)
    return completion.choices[0]


async def stream(client: openai.AsyncOpenAI, words: str, **options: Any) -> list[ChatCompletionChunk]:
    messages: Any = [{"role": "user", "content": words}]
    chunks = await client.chat.completions.create(model="sim-chat", messages=messages, stream=True, **options)
    return [chunk async for chunk in chunks]
