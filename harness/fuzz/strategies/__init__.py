"""Hypothesis strategies, gathered where decisions are likely to differ."""
