"""The function's side: what can be done with a job, who may do it, and how a job is described."""
