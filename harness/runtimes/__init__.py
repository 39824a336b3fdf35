"""Programs of others that install filters: what they really install, and whether it is right."""
