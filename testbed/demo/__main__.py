"""``python -m testbed.demo``."""

from testbed.demo.cli import app

app(prog_name="python -m testbed.demo")
