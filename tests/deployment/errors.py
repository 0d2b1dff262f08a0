class NoEngineError(Exception):
    """There is no Docker Engine here, and none can be started. The message says why."""
