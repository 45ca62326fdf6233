"""Choosing the source classes nearest to some targets, from a configuration to the lists that pre-training reads."""
