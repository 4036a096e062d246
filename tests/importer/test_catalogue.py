"""Which files are taken, left out and refused."""

import pytest

from sovereign.importer import catalogue
from sovereign.importer.catalogue import Format, Kind
from sovereign.importer.failure import ImportFailure, Reason


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("model.safetensors", Kind.WEIGHTS),
        ("sub/MODEL.SAFETENSORS", Kind.WEIGHTS),
        ("model.gguf", Kind.HARMLESS),
        ("config.json", Kind.SIDE),
        ("tokenizer.model", Kind.SIDE),
        ("tokenizer.model.v3", Kind.SIDE),
        ("qwen.tiktoken", Kind.SIDE),
        ("merges.txt", Kind.SIDE),
        ("vocab.bpe", Kind.SIDE),
        ("chat_template.jinja", Kind.SIDE),
        ("README.md", Kind.SIDE),
        ("LICENSE", Kind.SIDE),
        ("NOTICE.txt", Kind.SIDE),
        (".gitattributes", Kind.HARMLESS),
        ("assets/plot.PNG", Kind.HARMLESS),
        ("modeling.py", Kind.CODE),
        ("vocab.py", Kind.CODE),
        ("license.sh", Kind.CODE),
        ("pytorch_model.bin", Kind.PICKLE),
        ("vocab.pkl", Kind.PICKLE),
        ("weights.npz", Kind.PICKLE),
        ("model.onnx", Kind.UNKNOWN),
        ("noextension", Kind.UNKNOWN),
        ("other.model", Kind.UNKNOWN),
    ],
)
def test_kinds(path: str, kind: Kind) -> None:
    assert catalogue.kind_of(path, Format.SAFETENSORS) is kind


def test_the_manifest_and_harmless_files_are_left_out() -> None:
    listing = ["z.safetensors", "sovereign.manifest.json", ".gitattributes", "a.png", "config.json", "x.gguf"]
    assert catalogue.select(listing, Format.SAFETENSORS) == ["config.json", "z.safetensors"]
    assert catalogue.select(listing, Format.GGUF) == ["config.json", "x.gguf"]


def test_refused_files_need_an_exclusion_or_must_not_be_included() -> None:
    listing = ["a.safetensors", "b.py", "original/c.pth"]
    with pytest.raises(ImportFailure, match=r"b\.py is refused.*exclude it") as failure:
        catalogue.select(listing, Format.SAFETENSORS, exclude=["original/*"])
    assert failure.value.reason is Reason.UNSAFE_FILE
    assert catalogue.select(listing, Format.SAFETENSORS, exclude=["original/*", "*.py"]) == ["a.safetensors"]
    assert catalogue.select(listing, Format.SAFETENSORS, include=["*.safetensors"]) == ["a.safetensors"]
    with pytest.raises(ImportFailure):
        catalogue.select(listing, Format.SAFETENSORS, include=["*"], exclude=["b.py"])


def test_a_model_has_weights() -> None:
    with pytest.raises(ImportFailure, match=r"no \*\.gguf"):
        catalogue.select(["config.json"], Format.GGUF)
    with pytest.raises(ImportFailure, match=r"lists no \*\.gguf"):
        catalogue.check_listed(["config.json"], Format.GGUF)


def test_the_format_is_guessed_from_what_is_there() -> None:
    assert catalogue.guess_format(["a.gguf", "B.SafeTensors"]) is Format.SAFETENSORS
    assert catalogue.guess_format(["a.gguf"]) is Format.GGUF
