"""Lines of a watch, however the bytes come."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from sovereign.cluster.client import _lines


@given(
    st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=6),
    st.binary(max_size=5),
    st.data(),
)
def test_whole_lines_come_out_however_they_are_cut(lines: list[bytes], end: bytes, data: st.DataObject) -> None:
    content = b"".join(line + b"\n" for line in lines) + end.replace(b"\n", b"")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    pieces = [content[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(content)], strict=True)]

    async def iter_any() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def read() -> list[bytes]:
        response = SimpleNamespace(content=SimpleNamespace(iter_any=iter_any))
        return [bytes(line) async for line in _lines(response, 0.0)]  # type: ignore[arg-type]

    assert asyncio.run(read()) == [line for line in lines if line]
