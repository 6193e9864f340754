"""An S3 provider for LocalStack that keeps what it has acknowledged: see README.md."""
