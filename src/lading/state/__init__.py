"""A host's state as data: taken on any host with Python, compared item by item."""
