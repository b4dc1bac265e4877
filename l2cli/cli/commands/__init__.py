"""The commands, a module each.

A command parses, makes one call of the library and prints. :mod:`l2cli.cli` imports each module
when its command is asked for, and takes its ``command``. Commands don't import each other.
"""
