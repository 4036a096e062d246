"""A short run of the program, as a process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("chaos"), pytest.mark.timeout(400)]
SEED, FAULTS = 20, 40


def test_forty_faults_leave_everything_as_it_would_be_without_them(tmp_path: Path) -> None:
    state, report = tmp_path / "state", tmp_path / "report.json"
    command = [sys.executable, "-m", "testbed.chaos", f"--seed={SEED}", f"--faults={FAULTS}", f"--report={report}"]
    environment = {**os.environ, "XDG_STATE_HOME": str(state)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["failures"] == []
    assert found["injected"] == FAULTS
    assert found["seed"] == SEED
    assert found["leaders"] >= 1
    assert f"seed {SEED}: {FAULTS} faults in 2 batches" in done.stdout
    assert list(state.iterdir()) == []
