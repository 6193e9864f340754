"""Benchmarks: each measures this stack beside what one would take instead, in one run on one machine.

python -m bench [NAME…]      (make bench B=name)
"""
