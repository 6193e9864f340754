"""The deadline of every promise of a job: ten years, so that no job ends because it waited for a person."""

from datetime import timedelta

#: The SDK's own default, 24 hours for the root and for each child, would end a job that waits for a person.
FOREVER = timedelta(days=3650)
