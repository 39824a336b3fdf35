"""From a policy to the objects that each kind of access may reach: for Landlock, and for others'
sandboxes, which know names and ports but no system calls.
"""
