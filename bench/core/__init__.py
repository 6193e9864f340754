"""What the measures share: containers, times, tables, files and pictures."""
