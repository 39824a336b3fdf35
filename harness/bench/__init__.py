"""What interposition costs: a small loop in C under every backend."""
