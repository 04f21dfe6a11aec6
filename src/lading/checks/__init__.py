"""Checks say what must be true of a host: pytest-testinfra tests beside a recipe, and what runs and reads them."""
