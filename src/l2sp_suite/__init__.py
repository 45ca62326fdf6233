"""l2sp_suite."""
