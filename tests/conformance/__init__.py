"""The same table over every mechanism."""
