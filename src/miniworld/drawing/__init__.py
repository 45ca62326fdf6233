"""Drawing in numpy: poses, shapes, painted textures, composition, blur, camera."""
