"""Writes a llama model that is tiny and knows nothing, so that llama.cpp's server can be run without a download.

Run by the Python of the environment that has the server: `python tiny_model.py FILE`. The weights are random, and the
vocabulary is the 256 bytes: it says nonsense, in the server's own protocol.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import gguf  # type: ignore[import-not-found]  # only the server's environment has it
import numpy as np  # type: ignore[import-not-found]  # likewise

_WIDTH, _LAYERS, _HEADS, _INNER, _CONTEXT = 32, 2, 4, 64, 4096
_SPECIAL = (b"<unk>", b"<s>", b"</s>")
_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def write_model(path: Path) -> None:
    """Write the model in llama.cpp's format."""
    writer = gguf.GGUFWriter(str(path), "llama")
    _describe(writer)
    _add_vocabulary(writer)
    for name, values in _tensors(np.random.default_rng(1)):
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter) -> None:
    writer.add_name("tiny")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_LAYERS)
    writer.add_feed_forward_length(_INNER)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_chat_template(_TEMPLATE)


def _add_vocabulary(writer: gguf.GGUFWriter) -> None:
    tokens = [*_SPECIAL, *(f"<0x{byte:02X}>".encode() for byte in range(256))]
    control = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([*control, *[gguf.TokenType.BYTE] * 256])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def _tensors(random: np.random.Generator) -> "Iterator[tuple[str, np.ndarray]]":
    words = len(_SPECIAL) + 256
    shapes = {"token_embd": (words, _WIDTH), "output": (words, _WIDTH)}
    for layer in range(_LAYERS):
        block = f"blk.{layer}"
        shapes |= {f"{block}.attn_{part}": (_WIDTH, _WIDTH) for part in ("q", "k", "v", "output")}
        shapes |= {f"{block}.ffn_{part}": (_INNER, _WIDTH) for part in ("gate", "up")}
        shapes[f"{block}.ffn_down"] = (_WIDTH, _INNER)
        for part in ("attn_norm", "ffn_norm"):
            yield f"{block}.{part}.weight", np.ones(_WIDTH)
    yield "output_norm.weight", np.ones(_WIDTH)
    for name, shape in shapes.items():
        yield f"{name}.weight", random.standard_normal(shape) * 0.05


if __name__ == "__main__":
    write_model(Path(sys.argv[1]))
