"""Speed and accuracy, each a command: python -m benchmarks.speed --data DIR (a folder that holds house-prices/)."""
