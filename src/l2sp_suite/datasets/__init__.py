"""Readers of official layouts, transforms, and the miniature world."""
