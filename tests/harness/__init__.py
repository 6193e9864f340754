"""What the integration and chaos tests share: copies of the stack, and how to wait for something."""
