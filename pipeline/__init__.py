"""Foldpack: every fold, seed and trial of a network trained as one batched program."""
