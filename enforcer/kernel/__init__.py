"""One module per kernel interface; the only place for ctypes."""
