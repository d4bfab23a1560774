"""Wing of tables: numpy, pandas, scipy, scikit-learn; no torch, no disk."""
