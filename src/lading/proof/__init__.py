"""Proving a path: the stages of each route, what a run leaves, and which proofs a command has to make."""
