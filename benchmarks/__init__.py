"""Speed and accuracy, each a command: python -m benchmarks.speed --data DIR (a folder that holds house-prices/)."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the shell does; before PyTorch is imported
