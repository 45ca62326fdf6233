"""EncNet: semantic segmentation with a context encoding module (protocol 1)."""
