"""The weights bench: its models are real ones, its server knows ranges, and an arm that got other bytes does not count."""

from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from bench.benches import weights
from sovereign.importer import inspection


@pytest.fixture
def race(tmp_path: Path) -> Iterator[weights.Race]:
    large, small, tiny = (weights.model(tmp_path / "src" / name, weights.MIB) for name in ("large", "small", "tiny"))
    with weights.file_server(tmp_path / "src") as url:
        yield weights.Race(url, tmp_path / "volume", large, small, tiny)


def test_a_model_that_is_made_passes_inspection(tmp_path: Path) -> None:
    weights.model(tmp_path / "m", 2 * weights.MIB)
    for name in ("model.safetensors", "config.json"):
        inspection.inspect(tmp_path / "m" / name, name)


def test_memory_is_compared_over_a_file_four_times_as_large() -> None:
    sizes = weights.sizes(1 << 30)
    assert sizes["large"] == 4 * sizes["small"]


def test_the_server_sends_ranges_of_one_version(race: weights.Race, tmp_path: Path) -> None:
    data = (tmp_path / "src/large/model.safetensors").read_bytes()
    request = Request(f"{race.url}/large/model.safetensors", headers={"Range": "bytes=5-1004"})
    with urlopen(request) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes 5-1004/{len(data)}"
        assert answer.headers["ETag"]
        assert answer.read() == data[5:1005]


def test_both_arms_fetch_and_check_the_same_bytes(race: weights.Race) -> None:
    assert set(race.choose(1)) == set(weights.CURL)
    assert race.rival in weights.CURL
    pair = race.turn()
    assert min(pair) > 0
    assert len(race.curl_cpu) == 2 * len(race.cpu) == 2
    assert race.peak(race.large) > 10 * weights.MIB


def test_an_arm_that_got_other_bytes_fails(race: weights.Race, tmp_path: Path) -> None:
    with (tmp_path / "src/large/model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    for name in weights.CURL:
        with pytest.raises(RuntimeError, match="other bytes"):
            race.curl(name)
    with pytest.raises(RuntimeError, match="DigestMismatch"):
        race.ours(race.large)
