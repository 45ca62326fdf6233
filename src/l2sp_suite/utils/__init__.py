"""What every package may use: errors for people, atomic writes, the machine, exit statuses."""
