"""Playing the kubelet of an import pod."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sovereign.api.model import ModelSpec
from sovereign.api.policy import PolicySpec
from sovereign.plan.governance import govern
from sovereign.plan.inventory import Owner, Policy, Settings, SovereignModel
from sovereign.plan.model import plan_model
from testbed.demo import kubelet
from testbed.demo.claims import StepFailed
from testbed.demo.install import IMPORTER_IMAGE
from testbed.demo.kubelet import Ended, Machine

MACHINE = Machine(Path("/volumes"), Path("/keys"), {"https://s3.example.eu": "https://127.0.0.1:1"})


def import_pod() -> dict[str, Any]:
    """The pod that the operator plans for a model."""
    policy = PolicySpec.model_validate(
        {
            "namespaceSelector": {"matchLabels": {"tier": "x"}},
            "placement": {"jurisdictions": ["FR"]},
            "models": {"s3Endpoint": "https://s3.example.eu"},
        }
    )
    spec = ModelSpec.model_validate(
        {
            "source": {"uri": "s3://weights/chat", "secretRef": {"name": "keys"}, "exclude": ["a$b"]},
            "digest": "sha256:" + "0" * 64,
        }
    )
    settings = Settings(importer_image=IMPORTER_IMAGE)
    governance = govern("team", {"tier": "x"}, [Policy(Owner("SovereigntyPolicy", "eu", "1"), policy)], settings)
    model = SovereignModel(Owner("SovereignModel", "chat", "2", "team"), spec, None, None)
    plan = plan_model(model, governance, settings)
    (job,) = [child for child in plan.children if child["kind"] == "Job"]
    template: dict[str, Any] = job["spec"]["template"]
    return template


def test_the_importer_gets_the_pods_own_arguments() -> None:
    command = kubelet.command_of(import_pod(), MACHINE)
    assert command[:3] == [sys.executable, "-m", "sovereign.importer"]
    assert "--source=s3://weights/chat" in command
    assert "--digest=sha256:" + "0" * 64 in command
    assert "--exclude=a$b" in command, "a kubelet makes one $ of two"
    assert "--dest=/volumes/chat-weights" in command
    assert "--credentials=/keys" in command
    assert "--endpoint=https://127.0.0.1:1" in command


def test_a_pod_that_runs_something_else_is_not_run() -> None:
    pod = import_pod()
    pod["spec"]["containers"][0]["command"] = ["sh", "-c"]
    with pytest.raises(StepFailed, match=r"runs \['sh', '-c'\], not "):
        kubelet.command_of(pod, MACHINE)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"message": "importing 6 files"}, "importing 6 files"),
        ({"message": "progress", "bytes": 0, "totalBytes": 0}, ""),
        ({"message": "progress", "bytes": 5_000_000, "totalBytes": 33_554_998}, "progress, 5.0 of 33.6 MB"),
        ({"message": "p", "bytes": 1, "totalBytes": 10, "bytesPerSecond": 24_400_000}, "p, 0.0 of 0.0 MB, 24.4 MB/s"),
        ({"message": "result", "termination": {}}, ""),
    ],
)
def test_a_line_of_the_importers_log_is_told_in_words(entry: dict[str, Any], told: str) -> None:
    assert kubelet.sentence(json.dumps(entry)) == told


def test_a_line_that_is_not_json_is_told_as_it_is() -> None:
    assert kubelet.sentence("usage: python -m sovereign.importer\n") == "usage: python -m sovereign.importer"


def test_a_program_is_run_to_its_end(tmp_path: Path) -> None:
    script = "import sys; print('working'); open(sys.argv[1].partition('=')[2], 'w').write('{\"result\": \"x\"}'); sys.exit(3)"
    told: list[str] = []
    ended = kubelet.run([sys.executable, "-c", script], tmp_path, told.append)
    assert (ended.code, ended.result, told) == (3, {"result": "x"}, ["working"])
    assert Ended(1, "").result == {}
