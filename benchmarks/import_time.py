"""How long `import odelib` takes on top of `import torch`: the median of ten fresh interpreters for each."""

import statistics
import subprocess
import sys
import time

RUNS = 10


def main() -> None:
    def seconds(statement: str) -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        return time.perf_counter() - begin

    # In turns, so that whatever else the machine does falls on both alike.
    times = [(seconds("import torch"), seconds("import torch, odelib")) for _ in range(RUNS)]
    torch_alone, with_odelib = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"import torch              {torch_alone:.2f} s")
    print(f"import torch, odelib      {with_odelib:.2f} s")
    print(f"added by odelib           {with_odelib - torch_alone:+.2f} s")


if __name__ == "__main__":
    main()
