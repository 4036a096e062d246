"""Whether a cluster is as it should be, and what to do where it is not."""

from sovereign.cli import checks
from sovereign.cli.answers import Answer
from sovereign.cli.checks import Check
from sovereign.cli.cluster import ask


class DoctorAnswer(Answer, frozen=True):
    """All checks."""

    ok: bool
    """Whether none failed; some may warn."""
    checks: tuple[Check, ...]


def examine(kubeconfig: str, operator_namespace: str, lease: str) -> DoctorAnswer:
    """Run all checks on the cluster of ``kubeconfig``.

    Raises:
        CommandFailed: no cluster is configured, or it does not answer.
    """
    found = ask(kubeconfig, lambda client: checks.run(checks.Cluster(client, operator_namespace, lease)))
    return DoctorAnswer(all(check.state != checks.FAIL for check in found), tuple(found))
