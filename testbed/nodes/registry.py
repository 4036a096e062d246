"""The registry on the bridge: the only one that the nodes know."""

from pathlib import Path

import yaml

from testbed.nodes.layout import Layout
from testbed.services import Service


def service(folder: Path, layout: Layout, program: str, port: int) -> Service:
    """The registry of the cluster in `folder`; what was pushed to it goes with the cluster."""
    home = folder / "registry"
    home.mkdir(exist_ok=True)
    configuration = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(home)}, "delete": {"enabled": True}},
        "http": {"addr": f"{layout.machine}:{port}"},
    }
    path = folder / "registry.yaml"
    path.write_text(yaml.safe_dump(configuration))
    return Service("registry", ("env", "OTEL_TRACES_EXPORTER=none", program, "serve", path), f"{url(layout, port)}/v2/")


def url(layout: Layout, port: int) -> str:
    """Where images are pushed to, from this machine."""
    return f"http://{layout.machine}:{port}"
