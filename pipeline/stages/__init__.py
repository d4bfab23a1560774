"""One verb a file: values in, one value out, no disk."""
