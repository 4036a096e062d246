"""``python -m sovereign.importer``."""

import sys

from sovereign.importer.cli import main

if __name__ == "__main__":
    sys.exit(main())
