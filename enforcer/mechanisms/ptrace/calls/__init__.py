"""The handlers of held calls, one module for each family."""
