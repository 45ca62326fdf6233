"""DSTL: fine-grained classification (docs/protocols/dstl.md)."""
