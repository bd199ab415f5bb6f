"""A program that takes a processor: `cpu_load.py SECONDS LOAD_PERCENT`. Imports nothing of ours."""

import os
import sys
import time

_SLICE_S = 0.05
# The lab has to be able to end it, and the load to be made.
_NICENESS = 5


def main(seconds: float, load_percent: float) -> None:
    """Compute, and rest for the part that the load leaves; ends by itself."""
    os.nice(_NICENESS)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        busy_until = time.monotonic() + _SLICE_S * load_percent / 100
        while time.monotonic() < busy_until:
            sum(range(1000))
        time.sleep(_SLICE_S * (1 - load_percent / 100))


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]))
