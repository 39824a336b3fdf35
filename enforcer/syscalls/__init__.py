"""Numbers and model of every system call of every supported ABI."""
