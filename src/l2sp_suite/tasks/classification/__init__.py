"""DSTL: fine-grained classification (protocol 3)."""
