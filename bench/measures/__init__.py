"""One module per measure: `measure() -> Result`."""
