"""Policies of ours, and filters of others, in the languages of others, with what is lost there."""
