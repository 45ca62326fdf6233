"""How near sets of classes are by the Earth Mover's Distance, and which classes are nearest (protocol 3.3)."""
