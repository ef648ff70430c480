"""Architectures that several domains use."""
