"""The HTML report: a plain dictionary first, markup last."""
