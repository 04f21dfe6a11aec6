"""Takes the state of the host that it runs on.

These modules' texts travel to the host: they need Python 3.9 or later there, and nothing but each other.
"""
