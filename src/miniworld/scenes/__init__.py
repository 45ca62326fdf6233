"""Scenes with label maps in the layout of PASCAL-Context, and views: labelled windows of scenes."""
