"""Pages as people write them: their fences and markers, read the same way by the site and, later, by the runner."""
