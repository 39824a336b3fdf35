"""Policy fuzzing: what every compiler and decider must do, and the search for breaches."""
