"""EncNet: semantic segmentation with a context encoding module (docs/protocols/encnet.md)."""
