"""Lines are written once their head is in the lease, and a leader that is killed never makes two lines out of one."""

from sovereign.cluster.evidence import MOST_PENDING, Recorder
from sovereign.evidence.ledger import Head
from sovereign.evidence.verify import check, read


def test_entries_are_written_when_the_renewal_was_taken() -> None:
    lines: list[bytes] = []
    recorder = Recorder("a", lines.append)
    recorder.record("event", {"n": 1})
    stated = recorder.state("")
    assert lines == []
    recorder.renewed()
    assert [entry.head for entry in read(lines).entries] == [Head.parse(stated)]
    recorder.renewed()
    assert len(lines) == 2, "an entry and its seal, once"


def test_a_renewal_that_failed_is_stated_again_with_what_came_meanwhile() -> None:
    lines: list[bytes] = []
    recorder = Recorder("a", lines.append)
    recorder.record("event", {"n": 1})
    recorder.state("")
    recorder.record("event", {"n": 2})
    recorder.state("")
    recorder.renewed()
    assert [entry.body["n"] for entry in read(lines).entries] == [1, 2]
    assert check(read(lines)) == ()


def test_a_renewal_whose_answer_was_lost_is_not_chained_twice() -> None:
    lines: list[bytes] = []
    recorder = Recorder("a", lines.append)
    recorder.record("event", {"n": 1})
    stated = recorder.state("")
    recorder.record("event", {"n": 2})
    assert Head.parse(recorder.state(stated)).seq == 2
    recorder.renewed()
    assert [entry.body["n"] for entry in read(lines).entries] == [1, 2]
    assert check(read(lines)) == ()


def test_the_next_leader_goes_on_where_the_lease_says() -> None:
    lines: list[bytes] = []
    first, second = Recorder("a", lines.append), Recorder("b", lines.append)
    first.record("event", {"n": 1})
    stated = first.state("")
    first.renewed()
    first.record("event", {"n": 2})
    first.state(stated)  # killed before the API server took it
    second.record("event", {"n": 3})
    second.state(stated)
    second.renewed()
    found = read(lines)
    assert [(entry.seq, entry.by) for entry in found.entries] == [(1, "a"), (2, "b")]
    assert check(found) == ()


def test_a_renewal_without_news_says_the_same_head() -> None:
    recorder = Recorder("a", lambda _: None)
    stated = str(Head(7, "a" * 64))
    assert recorder.state(stated) == stated


def test_what_cannot_wait_is_counted_and_said() -> None:
    lines: list[bytes] = []
    recorder = Recorder("a", lines.append)
    for number in range(MOST_PENDING + 3):
        recorder.record("event", {"n": number})
    recorder.state("")
    recorder.renewed()
    last = read(lines).entries[-1]
    assert (last.seq, last.kind, last.body) == (MOST_PENDING + 1, "dropped", {"entries": 3})
