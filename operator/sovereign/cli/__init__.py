"""``kubectl sovereign``: what the operator would do, why, and whether a cluster is as it should be.

Nothing heavy is imported here: ``kubectl sovereign --help`` must answer at once.
"""

from sovereign.cli.application import app

__all__ = ["app"]
