"""Benchmarks: each compares this stack with its alternatives, in one run on one machine.

python -m bench [NAME…]      (make bench B=name)
"""
