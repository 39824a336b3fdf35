"""One module or package per kernel facility, all behind the same policies."""
