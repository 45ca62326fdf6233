"""Figures as PNG bytes. The only package that imports matplotlib."""
