"""Proof that the tests notice: one-line mistakes, each with the tests that must fail for it.

`AREA.yaml` holds the mistakes; `ci/mutants` makes them, one at a time, in copies of the tree.
"""
