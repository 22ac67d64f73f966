"""``python -m karush`` is the command ``karush``."""

import sys

from karush.cli import main

if __name__ == "__main__":
    sys.exit(main())
