"""The laboratory: attacks, scenarios, places, controls and verdicts."""
