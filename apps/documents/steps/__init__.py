"""One module for each step. A step may run twice (a crash between effect and checkpoint), so each is idempotent."""
