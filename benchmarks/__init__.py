"""Speed and accuracy, each a command: python -m benchmarks.speed --data DIR (a folder that holds house-prices/)."""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # as the shell does; before PyTorch is imported
