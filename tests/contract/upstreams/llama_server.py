"""llama.cpp's server, by its binding for Python, on a tiny model."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devstack import product
from devstack.ports import free_port
from tests.contract.upstreams import product as upstreams
from tests.contract.upstreams.installing import programs_of
from tests.contract.upstreams.running import running

KEY = "the-key-of-the-tests-server"
MODEL = "tiny"
CONTEXT_TOKENS = 1024


@contextmanager
def llama_server(folder: Path) -> Iterator[upstreams.Upstream]:
    """Run the server during the block."""
    python, model, port = programs_of("llama-cpp") / "python", folder / "tiny.gguf", free_port()
    writer = Path(__file__).with_name("tiny_model.py")
    subprocess.run([python, writer, model], cwd=folder, check=True, capture_output=True)
    options = {
        "--model": model,
        "--model_alias": MODEL,
        "--host": "127.0.0.1",
        "--port": port,
        "--n_ctx": CONTEXT_TOKENS,
        "--n_threads": 1,
        "--api_key": KEY,
    }
    arguments = [str(word) for option in options.items() for word in option]
    env = product.isolated({"HOME": str(folder)})
    del env["PYTHONPATH"]
    origin = f"http://127.0.0.1:{port}"
    # Its list of models wants the key; that of its routes does not.
    with running([python, "-m", "llama_cpp.server", *arguments], env, folder / "llama.log", f"{origin}/openapi.json"):
        yield upstreams.Upstream(f"{origin}/v1", KEY, (MODEL,))
