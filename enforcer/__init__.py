"""The enforcer: the policy language, its semantics, and the mechanisms that enforce it."""
