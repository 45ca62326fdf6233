"""What can be proved: Table 7 (linear regression) and Figure 1 (two weights), computed with NumPy alone."""
