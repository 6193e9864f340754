"""The rules: what each request reads and changes, in SQL. Nothing here knows HTTP, and nothing here waits."""
