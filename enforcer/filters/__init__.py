"""Filters of others: read whole, and asked what they mean."""
