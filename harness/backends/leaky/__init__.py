"""Deliberately weak enforcers: each module plants one weakness and exposes it as BACKEND.

`some_name.py` is the backend `leaky-some-name`. Launched here or in a guest, so they import what
mechanisms import.
"""
