"""One module a step. A step may run twice (crash between effect and checkpoint), so its effect is idempotent."""
