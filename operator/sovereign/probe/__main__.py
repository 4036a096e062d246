"""``python -m sovereign.probe``."""

import sys

from sovereign.probe.cli import main

if __name__ == "__main__":
    sys.exit(main())
