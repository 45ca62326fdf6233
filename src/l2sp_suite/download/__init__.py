"""The official data sets: what is on disk, verified by the readers, and what is not, fetched and unpacked."""
