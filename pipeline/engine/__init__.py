"""Wing of networks: torch only; no pandas, no disk."""
