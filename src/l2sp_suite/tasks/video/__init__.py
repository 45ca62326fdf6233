"""SegFlow: video object segmentation and optical flow by two branches that exchange features."""
