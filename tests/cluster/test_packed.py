"""Packed JSON reads back as it was, and takes little room where it resembles what was packed before."""

import json
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from sovereign.cluster.packed import pack

_KINDS = count()


def deployment(name: str) -> bytes:
    containers = [
        {"name": f"c{n}", "image": "registry.example.eu/ai/vllm", "args": ["--model", name]} for n in range(20)
    ]
    return json.dumps({"metadata": {"name": name}, "spec": {"containers": containers}}).encode()


@given(st.lists(st.binary(max_size=20_000), max_size=4))
def test_what_was_packed_reads_back(contents: list[bytes]) -> None:
    kind = f"kind-{next(_KINDS)}"
    packed = [pack(kind, content) for content in contents]
    assert [one.read() for one in packed] == contents
    assert packed == [pack(kind, content) for content in contents], "equal content is packed equally"


def test_what_resembles_the_first_of_its_kind_takes_little_room() -> None:
    kind = f"kind-{next(_KINDS)}"
    first, other = pack(kind, deployment("first")), pack(kind, deployment("another"))
    assert other.read() == deployment("another")
    assert len(other.content) < len(deployment("another")) / 10
    assert other.like is first.like, "there is one dictionary"
