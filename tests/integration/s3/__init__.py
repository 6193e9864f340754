"""S3 keeps what it has acknowledged."""
