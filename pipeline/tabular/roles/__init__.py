"""What `init` guesses: the role of every column, by listed rules, each with its evidence."""
