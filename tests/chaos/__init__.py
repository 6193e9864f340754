"""Causes faults and counts afterwards: no job is lost, and nothing is done twice."""
