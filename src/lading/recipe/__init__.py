"""What makes a path executable: its recipe, read with the position of every word, and the playbook it stands for."""
