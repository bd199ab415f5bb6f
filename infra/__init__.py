"""Where the shop runs, and what starts a run.

`lab` is one machine, `aws` is AWS, `launch` is behind make. Imports nothing else of ours.
"""

from pathlib import Path

# The clone.
ROOT = Path(__file__).resolve().parents[1]
