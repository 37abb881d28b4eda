"""The submissions in ``hostile.py``, for all tests of the course."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
