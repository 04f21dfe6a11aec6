"""The working group's vocabulary: its data, the lint that enforces it, and what it is exported as."""
