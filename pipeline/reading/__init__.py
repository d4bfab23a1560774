"""The user's files, read as they stand and nothing guessed in silence."""
