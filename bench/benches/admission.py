"""admission: what the rules compiled from a policy add to the creation of a pod and to a Binding.

Dry runs, which go through the same admission as what is stored. A few in a namespace that the policy governs, a few in one that it
does not, in turns and over one connection: what differs is what was added. Each rule is also asked alone (`admission.rule`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bench.arms.admission import Place, Subject, Turn, matching
from bench.ground import Ground
from bench.results import Result
from bench.stats import paired, result
from bench.suite import Work

_QUIET: Final = ("kube-controller-manager", "kube-scheduler", "kwok")
_CREATED: Final = ("pods", "pods/binding")


def run(ground: Ground, work: Work) -> Iterator[Result]:
    """With so many approved nodes: all rules together, then each alone."""
    rounds = min(20, 4 * work.turns)
    with _place(ground) as place:
        admission = place.compiled(work.size)
        asked = {name for name, _ in matching(admission, _CREATED)}
        trials = [trial for trial in admission.trials if trial[0] in asked]
        with place.in_force(admission.objects, trials), ground.stopped(*_QUIET):
            yield from _added(place, "create", place.pod(), work, rounds)
            yield from _added(place, "unpinned", place.pod(pinned=False), work, rounds)
            yield from _added(place, "bind", place.binding(work.size), work, rounds)
        yield from _each_rule(ground, place, work, rounds // 2)


@contextmanager
def _place(ground: Ground) -> Iterator[Place]:
    place = Place(ground)
    try:
        yield place
    finally:
        place.remove()


def _added(place: Place, what: str, subject: Subject, work: Work, rounds: int) -> Iterator[Result]:
    found: list[Turn] = []
    place.turn(subject, 1)

    def turn() -> Turn:
        found.append(place.turn(subject, rounds))
        return found[-1]

    pairs, discarded = paired(lambda: turn().wall, work.turns, 3 * work.turns, work.tolerance)
    added = [pair.arm - pair.bare for pair in pairs]
    bare = f"{sum(pair.bare for pair in pairs) / max(1, len(pairs)):.2f} ms without"
    yield result(f"admission.{what}_added", added, "ms", work.size, discarded=discarded, note=bare)
    cpu = f"{sum(one.bare_cpu for one in found) / len(found):.2f} ms without"
    yield result(f"admission.{what}_cpu_added", [one.cpu for one in found], "ms", work.size, note=cpu)


def _each_rule(ground: Ground, place: Place, work: Work, rounds: int) -> Iterator[Result]:
    """CPU of each rule alone that is asked about either."""
    admission = place.compiled(work.size)
    trials = dict(admission.trials)
    for kind, subject in zip(_CREATED, (place.pod(), place.binding(work.size)), strict=True):
        for name, manifests in matching(admission, [kind]):
            with place.in_force(manifests, [(name, trials[name])]), ground.stopped(*_QUIET):
                place.turn(subject, 1)
                cpu = [place.turn(subject, rounds).cpu for _ in range(work.turns)]
            rule = name.removeprefix(f"sovereign-{place.policy.name}-")
            yield result(f"admission.rule.{kind}.{rule}", cpu, "ms", work.size)
