"""Batches, and the loader that draws them."""
