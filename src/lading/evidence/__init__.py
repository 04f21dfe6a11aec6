"""What was proven: the subject that a proof is about, the file that claims it, and what that claim is worth today."""
