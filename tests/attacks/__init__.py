"""Tests of the attack programs, their manifests and their builds."""
