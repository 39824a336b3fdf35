"""The person's end of a supervisor's socket: consoles that answer, and views that only look."""
