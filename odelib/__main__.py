"""``python -m odelib`` is the same as the command ``odelib``."""

import sys

from odelib.cli import main

if __name__ == "__main__":
    sys.exit(main())
