"""Killed before and after each single write of a model and its pool: the next operator ends where an undisturbed one does."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from testbed.chaos.proxy import Proxy, Treatment, writes
from testbed.objects import shared_claim
from tests.operator.lab import Lab, Manifest, Process, custom, model_spec, pool_spec, wait_for

TIER = "killed"
KINDS = "sovpool,smodel,deployment,service,serviceaccount,networkpolicy,pdb,hpa,job"
CHILDREN = 5
KILLS = 12
"""Writes that an undisturbed operator needs at most, statuses that change with what it sees included; each of them is a time at which
it is killed, once before and once after."""

pytestmark = pytest.mark.xdist_group("faults")  # beside the others, on a control plane of their own


@pytest.fixture
def places(lab: Lab, running: list[Process], tmp_path: Path) -> Iterator[list[str]]:
    """Namespaces under one policy, with claims, all of them closed already: what follows there are models and pools alone."""
    for process in running:
        if process.runs:
            process.stop()
    names = [f"{TIER}-{number}" for number in range(2 * KILLS + 1)]
    lab.policy(TIER, tier=TIER)
    spaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"tier": TIER}}}
        for name in names
    ]
    lab.apply(*spaces)
    lab.apply(*(manifest for name in names for manifest in shared_claim(name)))
    yield names
    lab.cluster.kubectl("delete", "sovpol", TIER)
    lab.cluster.kubectl("delete", "namespace", *names, "--wait=false")
    lab.cluster.kubectl("delete", "pv", *(f"shared-{name}" for name in names), "--wait=false")


@pytest.mark.timeout(600)
def test_the_end_is_the_same_wherever_it_is_killed(lab: Lab, places: list[str], tmp_path: Path) -> None:
    with Proxy(lab.kubeconfig, tmp_path) as proxy, operators(lab, proxy) as operator:
        wait_for("the namespaces to be closed", lambda: closed(lab) == len(places))
        *others, undisturbed = places
        create(lab, undisturbed)
        lab.wait_condition("sovpool", "chat", undisturbed, "Ready", "True")
        lab.settle(operator.process)
        expected = end(lab, undisturbed)
        total = sum(f"/{undisturbed}/" in path for _, path, _ in proxy.written)
        assert len(expected) >= 8
        assert 7 <= total <= KILLS
        met = 0
        for number, place in enumerate(others[: 2 * total]):
            nth, before = number // 2 + 1, number % 2 == 0
            operator.kill_at(nth, place, before=before)
            create(lab, place)
            wait_for(
                "its end, or that of the work", lambda p=place: not operator.process.runs or end(lab, p) == expected
            )
            met += operator.again()
            moment = f"the same end as without the kill {'before' if before else 'after'} write {nth}"
            wait_for(moment, lambda p=place: end(lab, p) == expected)
        assert met >= 2 * CHILDREN, "two statuses at once may be one write, so that the last writes need not be there"


def create(lab: Lab, place: str) -> None:
    lab.apply(
        custom("SovereignModel", "chat", place, model_spec()),
        custom("InferencePool", "chat", place, pool_spec("chat") | {"replicas": 0}),
    )


def end(lab: Lab, place: str) -> list[Manifest]:
    """All that is there, without what differs from one namespace to another."""
    found = orjson.loads(lab.cluster.kubectl("get", KINDS, "-n", place, "-o", "json"))["items"]
    return sorted((bare(item, place) for item in found), key=lambda item: (item["kind"], item["metadata"]["name"]))


def bare(item: Manifest, place: str) -> Manifest:
    conditions = (item.get("status") or {}).get("conditions") or []
    metadata = {key: item["metadata"].get(key) for key in ("name", "labels", "generation")}
    owners = [(owner["kind"], owner["name"]) for owner in item["metadata"].get("ownerReferences") or []]
    spec = {key: value for key, value in (item.get("spec") or {}).items() if key not in ("clusterIP", "clusterIPs")}
    kept: dict[str, Any] = {"kind": item["kind"], "metadata": metadata, "owners": owners, "spec": spec}
    if item["apiVersion"].startswith("sovereignai.io"):
        kept["conditions"] = sorted((c["type"], c["status"], c["reason"]) for c in conditions)
    found: Manifest = orjson.loads(orjson.dumps(kept).replace(place.encode(), b"PLACE"))
    return found


def closed(lab: Lab) -> int:
    """How many namespaces the policy has closed."""
    return lab.cluster.kubectl("get", "networkpolicies", "-A", "-o", "name").count(f"sovereign-{TIER}-default-deny")


class Operators:
    """One operator after another under one name, as when a kubelet starts a container again: it takes its own lease at once."""

    def __init__(self, lab: Lab, proxy: Proxy) -> None:
        self._lab = lab
        self._proxy = proxy
        self.start()

    def start(self) -> None:
        config = str(self._proxy.kubeconfig)
        self.process = self._lab.start(KUBECONFIG=config, SOVEREIGN_POD_NAME="killed")
        wait_for("it to lead", lambda: self.process.leads)

    def kill_at(self, nth: int, place: str, *, before: bool) -> None:
        """Kill it at its ``nth`` write in the namespace."""
        seen = 0
        victim = self.process.popen

        def treat(request: web.Request) -> Treatment | None:
            nonlocal seen
            if not writes(request) or f"/{place}/" not in request.path:
                return None
            seen += 1
            if seen != nth:
                return None
            kill = lambda: victim.send_signal(signal.SIGKILL)  # noqa: E731
            return Treatment(forward=False, before=kill) if before else Treatment(answer=False, after=kill)

        self._proxy.fault = treat

    def again(self) -> bool:
        """Start the next, killing this one if no write did; whether one had."""
        met = not self.process.runs
        if not met:
            self.process.popen.kill()
        assert self.process.popen.wait(30) == -signal.SIGKILL
        self._proxy.heal()
        self.start()
        return met


@contextmanager
def operators(lab: Lab, proxy: Proxy) -> Iterator[Operators]:
    one = Operators(lab, proxy)
    try:
        yield one
    finally:
        if one.process.runs:
            one.process.stop()
