"""Policies made by watching: what a command did, as rules that permit just that."""
