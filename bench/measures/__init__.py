"""One measure a module: `measure() -> Result`."""
