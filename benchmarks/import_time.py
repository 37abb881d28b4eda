"""How long `import odelib` takes on top of `import torch`: the median of ten fresh interpreters for each."""

import statistics
import subprocess
import sys
import time

RUNS = 10
STATEMENTS = {
    "import torch": "import torch",
    "import torch, odelib": "import torch, odelib",
    "import torch; from odelib import solve": "import torch; from odelib import solve",
    "import torch; from odelib import *": "import torch; from odelib import *",
}


def main() -> None:
    def seconds(statement: str) -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        return time.perf_counter() - begin

    # In turns, so that whatever else the machine does falls on all alike.
    times = [[seconds(statement) for statement in STATEMENTS.values()] for _ in range(RUNS)]
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    for name, median in zip(STATEMENTS, medians, strict=True):
        print(f"{name:42} {median:.2f} s   {median - medians[0]:+.2f} s")


if __name__ == "__main__":
    main()
