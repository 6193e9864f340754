"""What the gateway and the execution environments have in common: the HTTP between them (:mod:`shared.wire`), how
settings are read (:mod:`shared.environ`), trace ids (:mod:`shared.trace`).
"""
