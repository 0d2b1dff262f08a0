"""What a user sees once all is up: how to call the server, and where everything is."""

import os
import shlex

from devstack.chat_model import ChatModel
from devstack.config import Config
from devstack.credentials import Credentials
from devstack.vendors import Vendors

_TEXT = """{ready} Paste any of these:

  curl -s {base}/v1/chat/completions -H 'X-API-Key: {key}' -H 'Content-Type: application/json' -d '{question}'

  curl -s {base}/content -H 'X-API-Key: {key}'

  curl -s {base}/credits -H 'X-API-Key: {key}'

Console     {origin}/admin   sign in as {email} with the password {password}, until you change it there
API key     {key}
Chat model  {chat}
Replicate   {replicate}
Data        {data}   logs in {data}/logs, all of the above in {data}/quickstart.json
Commands    {junis} --help   {junis} doctor checks every setting
Stop        Ctrl-C; start again with the same command, everything is kept

"""
_QUESTION = '{"messages": [{"role": "user", "content": "Draw a lighthouse at dusk"}]}'
_SIMULATED = "simulated: no model is run. To use a real one, set {settings} and start again"
_INDENT = "\n" + " " * 12


def render_banner(config: Config, vendors: Vendors, credentials: Credentials, chat_model: ChatModel | None) -> str:
    """The text for a start with these vendors.

    Args:
        config: The operator's choices.
        vendors: Which vendor is real.
        credentials: How to sign in.
        chat_model: What is known of the chat model; None if it is simulated, or could not be tried.
    """
    does_chat = not vendors.is_chat_real or (chat_model is not None and not chat_model.problem and chat_model.price)
    junis = _relative(config)
    return _TEXT.format(
        ready="Ready." if does_chat else "Ready, but nobody can chat yet: see `Chat model` below.",
        base=f"{config.origin}/api/external",
        origin=config.origin,
        email=credentials.admin_email,
        password=credentials.admin_password,
        key=credentials.api_key,
        question=_QUESTION,
        chat=_INDENT.join(_chat(vendors, chat_model, junis)),
        replicate="real" if vendors.is_replicate_real else _SIMULATED.format(settings="REPLICATE_API_TOKEN"),
        data=config.data_dir,
        junis=junis,
    )


def _relative(config: Config) -> str:
    """The script for commands as it can be typed in our folder."""
    path = os.path.relpath(config.commands)
    return shlex.quote(str(config.commands) if path.startswith("..") else path)


def _chat(vendors: Vendors, found: ChatModel | None, junis: str) -> list[str]:
    if not vendors.is_chat_real:
        return [_SIMULATED.format(settings="LLM_BASE_URL, LLM_API_KEY and LLM_MODEL")]
    if found is None:
        return [f"real: at {vendors.chat_url}. It could not be tried: see logs/demo-model.log"]
    lines = [f"real: {found.model} at {vendors.chat_url}"]
    if found.note:
        lines.append(found.note)
    lines += [f"IT DOES NOT ANSWER: {found.problem}", f"To mend it: {found.mend}"] if found.problem else ["it answers"]
    # A near model without a price is one that is not there.
    if found.price is None and found.is_near:
        return lines
    command = f"  {junis} catalog price {shlex.quote(found.model)} --prompt … --completion …"
    return [*lines, _price(found), *([command] if found.price in {None, (0, 0)} else [])]


def _price(found: ChatModel) -> str:
    if found.price is None:
        return "NO PRICE, so chat is refused until you set one, in credits for a million tokens (0, if it is free):"
    if any(found.price):
        return f"price: {found.price[0]:g} credits for a million tokens of prompts, {found.price[1]:g} of answers"
    if found.was_made_free:
        return "price 0, as it is on this machine or in a private network. If its calls cost you money, set a price:"
    return "price 0: its calls cost no credits. If they cost you money, set a price:"
