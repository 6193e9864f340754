"""What the measures share: containers, clocks, tables, files and pictures."""
