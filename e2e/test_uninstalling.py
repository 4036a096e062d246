"""`helm uninstall` takes the operator, and leaves weights, claims, models and what serves them."""

from e2e.setting import install
from e2e.test_installing import OPERATOR, running
from e2e.world import MODEL, NAMESPACE, POLICY, POOL, RELEASE, SYSTEM, World
from testbed.models import QUESTION
from tests.operator.lab import wait_for


def test_uninstall_leaves_what_it_says(served: World) -> None:
    before = running(served)
    claim = served.get("pvc", f"{MODEL}-weights", NAMESPACE)
    served.helm("uninstall", RELEASE, f"--namespace={SYSTEM}", "--wait", "--timeout=60s")
    wait_for("the operator's pods to be gone", lambda: not served.all("pods", SYSTEM, OPERATOR))
    assert served.get("smodel", MODEL, NAMESPACE) is not None
    assert served.get("sovpol", POLICY) is not None
    assert served.get("pvc", f"{MODEL}-weights", NAMESPACE)["metadata"]["uid"] == claim["metadata"]["uid"]  # type: ignore[index]
    assert "Paris" in served.ask(QUESTION)
    assert running(served) == before

    install(served, served.images.operator)
    served.wait_ready("smodel", MODEL)
    served.wait_ready("sovpool", POOL)
    assert running(served) == before
    assert served.import_pods(MODEL) == [], "the weights were fetched again"
