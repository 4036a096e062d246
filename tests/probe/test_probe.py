"""The program of a network probe, against real sockets on loopback."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.api.meta import PROBE_BANNER
from sovereign.cluster.endpoints import AddressUnavailable
from sovereign.cluster.listener import listen
from sovereign.probe.attempt import Outcome, Target, attempt, concluded, watch
from sovereign.probe.cli import exit_code, main

LOOPBACK = "127.0.0.1"
Serve = Callable[[bytes], Target]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts listeners that say something to everybody and hang up."""
    listeners: list[socket.socket] = []

    def begin(says: bytes) -> Target:
        listener = socket.create_server((LOOPBACK, 0))
        listeners.append(listener)

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(says)

        threading.Thread(target=answer, daemon=True).start()
        return Target(*listener.getsockname())

    yield begin
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.fixture
def nobody() -> Target:
    """A port on which nobody listens: a reset."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        return Target(*listener.getsockname())


@pytest.fixture
def silent() -> Iterator[Target]:
    """A listener that takes no more connections: packets are dropped, as by a filter."""
    with socket.create_server((LOOPBACK, 0), backlog=0) as listener:
        target = Target(*listener.getsockname())
        waiting = []
        for _ in range(4):
            connection = socket.socket()
            connection.setblocking(False)
            connection.connect_ex(target)
            waiting.append(connection)
        yield target
        for connection in waiting:
            connection.close()


def test_reached_is_what_says_the_banner(serve: Serve) -> None:
    assert attempt(serve(PROBE_BANNER)) is Outcome.REACHED


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 503 upstream connect error\r\n", PROBE_BANNER * 2, PROBE_BANNER[:-1]])
def test_something_else_that_answers_is_unclear(serve: Serve, says: bytes) -> None:
    assert attempt(serve(says)) is Outcome.UNCLEAR


def test_a_reset_is_refused(nobody: Target) -> None:
    assert attempt(nobody) is Outcome.REFUSED


def test_silence_is_a_timeout(silent: Target) -> None:
    assert attempt(silent, 0.3) is Outcome.TIMEOUT


def test_one_that_accepts_and_says_nothing_is_unclear() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        assert attempt(Target(*listener.getsockname()), 0.3) is Outcome.UNCLEAR


async def test_the_operators_listener_is_reached() -> None:
    server = await listen(f"{LOOPBACK}:0")
    target = Target(*server.sockets[0].getsockname())
    assert await asyncio.to_thread(attempt, target) is Outcome.REACHED
    server.close()


async def test_an_address_that_is_taken_is_said() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken, pytest.raises(AddressUnavailable, match="set --probe-listen"):
        await listen(f"{LOOPBACK}:{taken.getsockname()[1]}")


# --- a row of attempts ----------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(Outcome).filter(lambda one: one is not Outcome.LATE), min_size=1))
def test_a_row_that_reached_it_once_never_counts_as_closed(seen: list[Outcome]) -> None:
    found = concluded(seen)
    assert (found in (Outcome.REACHED, Outcome.LATE)) == (Outcome.REACHED in seen)
    if Outcome.UNCLEAR in seen and Outcome.REACHED not in seen:
        assert found is Outcome.UNCLEAR


def play(row: list[Outcome], window: float, *, until_reached: bool) -> tuple[Outcome, int]:
    """Watch a target that behaves like ``row``, each attempt of which takes a second; the outcome and the attempts made."""
    clock, made = [0.0], [0]

    def connect(_: Target) -> Outcome:
        clock[0] += 1
        made[0] += 1
        return row[min(made[0], len(row)) - 1]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    target = Target(LOOPBACK, 1)
    found = watch(target, window, until_reached=until_reached, connect=connect, clock=lambda: clock[0], sleep=sleep)
    return found, made[0]


def test_it_is_tried_to_the_end_of_the_time() -> None:
    late_network = [Outcome.UNREACHABLE, Outcome.TIMEOUT, Outcome.REACHED]
    assert play(late_network, 10, until_reached=False) == (Outcome.REACHED, 7)
    assert play(late_network, 10, until_reached=True) == (Outcome.REACHED, 3)
    assert play([Outcome.REACHED, Outcome.TIMEOUT], 10, until_reached=False) == (Outcome.LATE, 7)
    assert play([Outcome.TIMEOUT], 10, until_reached=True) == (Outcome.TIMEOUT, 7)


# --- the command ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcomes", "refused", "reached"),
    [
        ([Outcome.REFUSED, Outcome.TIMEOUT], 0, 10),
        ([Outcome.REACHED, Outcome.REACHED], 10, 0),
        ([Outcome.REACHED, Outcome.TIMEOUT], 10, 10),
        ([Outcome.LATE], 10, 0),
        ([Outcome.UNCLEAR], 1, 1),
        ([Outcome.UNCLEAR, Outcome.REACHED], 10, 1),
    ],
)
def test_exit_codes(outcomes: list[Outcome], refused: int, reached: int) -> None:
    assert exit_code(outcomes, reached=False) == refused
    assert exit_code(outcomes, reached=True) == reached


def test_the_termination_message(serve: Serve, nobody: Target, tmp_path: Path) -> None:
    open_, log = serve(PROBE_BANNER), tmp_path / "termination-log"
    words = ["--timeout=0.1", f"--termination-log={log}", *(f"--target={LOOPBACK}:{t.port}" for t in (open_, nobody))]
    assert main(words) == 10
    report = json.loads(log.read_text())
    assert report["outcomes"] == {f"{LOOPBACK}:{open_.port}": "reached", f"{LOOPBACK}:{nobody.port}": "refused"}
    assert main([f"--target={LOOPBACK}:{nobody.port}", "--timeout=0.1", f"--termination-log={log}"]) == 0
    assert main([f"--target={LOOPBACK}:{open_.port}", "--expect=reached", f"--termination-log={log}"]) == 0


def test_as_a_process_without_what_the_operator_needs(nobody: Target) -> None:
    script = (
        "import sys; from sovereign.probe.cli import main; code = main(sys.argv[1:]); "
        "heavy = {'aiohttp', 'pydantic', 'kopf', 'orjson'} & sys.modules.keys(); print(sorted(heavy)); sys.exit(code)"
    )
    words = [f"--target={LOOPBACK}:{nobody.port}", "--timeout=0.1"]
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "[]"), done.stderr


@pytest.mark.parametrize("text", ["10.0.0.1", "host:80", "fd00::1:80", "[10.0.0.1]:80", "10.0.0.1:x", ":80", ""])
def test_what_is_no_target(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([f"--target={text}"])
    assert ended.value.code == 2
    assert "write IP:PORT" in capsys.readouterr().err


def test_targets_of_both_families() -> None:
    assert Target.parse("10.0.0.1:8081") == ("10.0.0.1", 8081)
    assert Target.parse("[fd00::1]:8081") == ("fd00::1", 8081)
