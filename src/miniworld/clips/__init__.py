"""Clips with masks or exact optical flow, in the layouts of DAVIS, Monkaa, Driving and FlyingChairs."""
