"""The contrastive core: it knows no domain."""
