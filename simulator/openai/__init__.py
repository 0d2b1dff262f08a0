"""OpenAI's HTTP API: models and chat completions, answered by a small deterministic assistant."""
