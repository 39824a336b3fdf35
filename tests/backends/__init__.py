"""Tests of the leaky backends."""
