"""Routes lead from a host to the deployed state. Each path has the playbook route; others come beside it."""
