"""What the integration and chaos tests share: copies of the stack, and helpers that wait for a condition."""
