"""What the mechanisms with a supervisor (ptrace, notify) share."""
