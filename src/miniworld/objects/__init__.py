"""Single objects: families and their classes, images of individuals, six official layouts."""
