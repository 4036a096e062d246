"""The work queue: the contract of client-go's workqueue."""

import asyncio
from sys import getsizeof

import pytest

from sovereign.cluster.queue import BASE_DELAY, MAX_DELAY, Key, Queue

A, B, C = (Key("Pod", "ns", name) for name in "abc")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_many_adds_are_one() -> None:
    queue = Queue()
    for _ in range(5):
        queue.add(A)
    assert len(queue) == 1
    assert await queue.get() == A
    assert len(queue) == 0


async def test_a_key_added_while_processed_is_processed_once_more_and_never_twice_at_once() -> None:
    queue = Queue()
    queue.add(A)
    assert await queue.get() == A
    queue.add(A)
    queue.add(A)
    assert len(queue) == 0
    queue.done(A)
    assert len(queue) == 1
    assert await queue.get() == A
    queue.done(A)
    assert queue.idle


async def test_repairs_go_first() -> None:
    queue = Queue()
    queue.add(A)
    queue.add(B)
    queue.add(C, first=True)
    assert [await queue.get() for _ in range(3)] == [C, A, B]


async def test_a_backlog_is_worked_off_from_what_changed_last() -> None:
    queue = Queue(standby=True)
    for key in (A, B, C, A):
        queue.add(key)
    assert len(queue) == 3
    queue.begin()
    assert [await queue.get() for _ in range(3)] == [A, C, B]
    assert len(queue) == 0


async def test_what_is_added_takes_turns_with_the_backlog() -> None:
    queue = Queue(standby=True)
    old = [Key("Pod", "ns", str(number)) for number in range(3)]
    for key in old:
        queue.add(key)
    queue.begin()
    for key in (A, B, C):
        queue.add(key)
    assert [await queue.get() for _ in range(6)] == [old[2], A, old[1], B, old[0], C]


async def test_what_is_added_again_leaves_the_backlog() -> None:
    queue = Queue(standby=True)
    for key in (A, B, C):
        queue.add(key)
    queue.begin()
    queue.add(A)
    assert len(queue) == 3
    assert [await queue.get() for _ in range(3)] == [C, A, B]


async def test_repairs_do_not_wait_for_the_backlog() -> None:
    queue = Queue(standby=True)
    queue.add(A)
    queue.add(B, first=True)
    queue.begin()
    assert {await queue.get(), await queue.get()} == {A, B}


async def test_gates_do_not_wait_for_the_backlog_either() -> None:
    queue = Queue(standby=True)
    for key in (A, B, C):
        queue.add(key)
    queue.add(A, gate=True)
    queue.add(A)
    assert len(queue) == 3
    queue.begin()
    assert [await queue.get() for _ in range(3)] == [A, C, B]
    assert len(queue) == 0


async def test_gates_go_before_repairs_in_order_and_once() -> None:
    queue = Queue()
    queue.add(A)
    queue.add(B)
    queue.add(C, first=True)
    queue.add(B, gate=True)
    queue.add(A, gate=True)
    queue.add(B, gate=True)
    assert len(queue) == 3
    assert [await queue.get() for _ in range(3)] == [B, A, C]
    for key in (A, B, C):
        queue.done(key)
    assert queue.idle
    assert len(queue) == 0


async def test_a_gate_that_is_being_processed_stays_one() -> None:
    queue = Queue()
    queue.add(A)
    assert await queue.get() == A
    queue.add(A)
    assert not queue.comes_again(A)
    queue.add(A, gate=True)
    queue.add(A)
    queue.add(B, first=True)
    assert queue.comes_again(A)
    queue.done(A)
    assert not queue.comes_again(A)
    assert [await queue.get(), await queue.get()] == [A, B]


async def test_what_was_a_gate_once_waits_like_others_the_next_time() -> None:
    queue = Queue()
    queue.add(A)
    queue.add(A, gate=True)
    assert await queue.get() == A
    queue.done(A)
    queue.add(B)
    queue.add(A)
    assert sorted([await queue.get(), await queue.get()]) == [A, B]
    assert len(queue) == 0


async def test_back_off_doubles_and_is_bounded_and_forgotten() -> None:
    queue = Queue(Clock())
    delays = [queue.retry(A) for _ in range(12)]
    assert delays[:3] == [BASE_DELAY, 2 * BASE_DELAY, 4 * BASE_DELAY]
    assert delays[-1] == MAX_DELAY
    queue.forget(A)
    assert queue.retry(A) == BASE_DELAY


async def test_the_earliest_of_several_delays_counts() -> None:
    clock = Clock()
    queue = Queue(clock)
    queue.add_after(A, 10)
    queue.add_after(A, 1)
    queue.add_after(A, 5)
    clock.now += 2
    queue.add(B)
    assert {await queue.get(), await queue.get()} == {A, B}
    clock.now += 20
    queue.add(C)
    assert await queue.get() == C, "the later delays of A were dropped"
    assert len(queue) == 0


async def test_a_waiting_worker_wakes_up_for_a_delay() -> None:
    queue = Queue()
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add_after(A, 0.01)
    assert await asyncio.wait_for(worker, 5) == A


async def test_all_workers_share_the_work() -> None:
    queue = Queue()
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    for key in (A, B, C):
        queue.add(key)
    done = await asyncio.wait_for(asyncio.gather(*workers), 5)
    assert set(done) == {A, B, C}


@pytest.mark.parametrize(
    ("key", "text"), [(A, "Pod/ns/a"), (Key("SovereigntyPolicy", "", "eu"), "SovereigntyPolicy/eu")]
)
def test_keys_read_well(key: Key, text: str) -> None:
    assert str(key) == text


async def test_an_empty_queue_keeps_no_room_for_all_that_was_in_it() -> None:
    def room(queue: Queue) -> int:
        return sum(getsizeof(part) for part in vars(queue).values() if isinstance(part, set | dict))

    queue = Queue(standby=True)
    for number in range(1000):
        queue.add(Key("Pod", "ns", str(number)))
    queue.begin()
    full = room(queue)
    while len(queue):
        queue.done(await queue.get())
    assert room(queue) < full / 20
