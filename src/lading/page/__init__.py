"""Pages as people write them: read the same way by the runner, the lint and the site."""
