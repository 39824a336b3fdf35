"""The properties, by group; `harness.fuzz.registry` names them all."""
