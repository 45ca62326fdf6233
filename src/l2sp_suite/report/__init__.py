"""From run directories to `rows.csv`, tables, figures and pages: files to files, without torch."""
