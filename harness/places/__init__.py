"""Where a case runs, and what runs there."""
