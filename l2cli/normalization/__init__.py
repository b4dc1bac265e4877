"""One source into one destination.

Called by users of the library, by the command and by the tasks of a store. It knows nothing of
stores and of terminals.
"""
