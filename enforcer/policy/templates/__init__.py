"""Templates and the table of equivalents that are shipped with the enforcer (data only)."""
