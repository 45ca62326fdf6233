"""Published weights in the formats of other frameworks, made into files that runs start from."""
